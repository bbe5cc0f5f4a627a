//! Quorums: how many institutions must store and sign, and what may fail.

use counterfoil_ledger::genesis::Genesis;
use counterfoil_ledger::registry::Registry;
use serde_json::{Value, json};

/// What the number of voters and the policy mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Institutions that run voting nodes.
    pub voters: usize,
    /// Institutions that must sign a header before it is final.
    pub finality: usize,
}

impl Quorum {
    /// The quorum that a genesis file founds.
    pub fn of(genesis: &Genesis) -> Quorum {
        let finality = Registry::of(genesis).policy().finality_quorum;
        Quorum { voters: genesis.voters().count(), finality }
    }

    /// How many must store a block before it is ordered: more than half.
    pub fn ordering(self) -> usize {
        self.voters / 2 + 1
    }

    /// Whether the finality quorum is not more than two thirds.
    pub fn below_two_thirds(self) -> bool {
        self.finality * 3 <= self.voters * 2
    }

    /// How many institutions would have to sign twice before two conflicting headers could both be
    /// final: any two quorums share at least so many.
    pub fn liars_needed(self) -> usize {
        (self.finality * 2).saturating_sub(self.voters)
    }

    /// What is needed before a block is ordered, and what may fail.
    pub fn ordering_sentence(self) -> String {
        let Quorum { voters, .. } = self;
        let ordering = self.ordering();
        format!(
            "{voters} voters: a block is ordered when {ordering} of them store it, so {} may fail",
            voters.saturating_sub(ordering)
        )
    }

    /// What is needed before a block is final, what may fail, and what it takes to break that.
    pub fn finality_sentence(self) -> String {
        let Quorum { voters, finality } = self;
        let liars = match self.liars_needed() {
            1 => "one lying institution is enough to break it".to_owned(),
            liars => format!("{liars} institutions would have to lie to break it"),
        };
        format!(
            "it is final when {finality} of {voters} institutions sign it, so {} may fail; {liars}",
            voters.saturating_sub(finality)
        )
    }

    /// What must be said where the quorum is below two thirds, or where there are fewer institutions
    /// than the default minimum.
    pub fn warning(self) -> Option<String> {
        let Quorum { voters, finality } = self;
        if self.below_two_thirds() {
            return Some(format!(
                "{finality} of {voters} is not more than two thirds: one lying institution is enough to break finality"
            ));
        }
        match voters {
            4.. => None,
            3 => Some(
                "3 institutions run voting nodes, 4 are the default minimum: all three must sign, so that nothing becomes final while one is away".to_owned(),
            ),
            _ => Some(format!(
                "{voters} of the 4 voting institutions that are the default minimum: no node may fail"
            )),
        }
    }

    /// The figures for programs.
    pub fn json(self) -> Value {
        json!({
            "voterCount": self.voters,
            "orderingQuorum": self.ordering(),
            "orderingMayFail": self.voters.saturating_sub(self.ordering()),
            "finalityQuorum": self.finality,
            "finalityMayFail": self.voters.saturating_sub(self.finality),
            "belowTwoThirds": self.below_two_thirds(),
            "liarsNeeded": self.liars_needed(),
            "warning": self.warning(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic() {
        let figures = |voters, finality| {
            let quorum = Quorum { voters, finality };
            let warned = quorum.warning().is_some();
            (quorum.ordering(), quorum.below_two_thirds(), quorum.liars_needed(), warned)
        };
        assert_eq!(figures(1, 1), (1, false, 1, true));
        assert_eq!(figures(2, 2), (2, false, 2, true));
        assert_eq!(figures(3, 3), (2, false, 3, true));
        assert_eq!(figures(3, 2), (2, true, 1, true));
        assert_eq!(figures(4, 3), (3, false, 2, false));
        assert_eq!(figures(5, 4), (3, false, 3, false));
        assert_eq!(figures(7, 5), (4, false, 3, false));
    }

    #[test]
    fn sentences_say_what_may_fail() {
        let four = Quorum { voters: 4, finality: 3 };
        assert_eq!(
            four.finality_sentence(),
            "it is final when 3 of 4 institutions sign it, so 1 may fail; 2 institutions would have to lie to break it"
        );
        let three = Quorum { voters: 3, finality: 2 };
        assert!(three.finality_sentence().ends_with("one lying institution is enough to break it"));
        assert!(three.warning().unwrap().starts_with("2 of 3 is not more than two thirds"));
    }
}
