//! Runs: the passes over all open items of an account, a slice at a time.

use super::{
    effect::{Effect, Kind},
    finding::Says,
    pass::Pass,
    restore::{read_date, read_text},
    sheet::{Moment, Sheet},
};
use crate::{
    block::Side,
    header::Reader,
    matching::{
        self,
        item::{Comparison, Place},
        runs::{self, Anchor, Cursor, Finding, Open},
    },
};

impl Sheet {
    /// Begins a run over every comparison; what was under way begins anew.
    pub(super) fn begin_run(&mut self) {
        let compared = self.desks.keys().copied().filter(|comparison| self.has_items(*comparison));
        self.runs = compared.map(|comparison| (comparison, Cursor::START)).collect();
    }

    /// Whether anything is compared. A desk without items is as none: storage knows nothing of it.
    pub(super) fn has_items(&self, comparison: Comparison) -> bool {
        self.desks.get(&comparison).is_some_and(|desk| desk.standings().next().is_some())
    }

    /// Whether a run has more to do.
    pub fn is_running(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Does the next slice of what is under way.
    pub(super) fn run(&mut self, rules: &matching::terms::Terms<'_>, now: Moment) {
        let Some((comparison, cursor)) = self.runs.pop_first() else { return };
        let Some(desk) = self.desks.get(&comparison) else { return };
        let (first, second) = (desk.open(Place::First), desk.open(Place::Second));
        let open = Open { first: &first, second: &second };
        let (found, next) = runs::run(open, cursor, runs::STEPS, desk.refused(), rules);
        for finding in found {
            self.found(comparison, &finding, rules, now);
        }
        if let Some(next) = next {
            self.runs.insert(comparison, next);
        }
        if self.is_running() {
            self.effects.push(Effect::new(Kind::RunGoesOn, Some(comparison), 0, 0));
        }
        self.touched.sheet = true;
    }

    fn found(
        &mut self,
        comparison: Comparison,
        finding: &Finding,
        rules: &matching::terms::Terms<'_>,
        now: Moment,
    ) {
        let ids = finding.items();
        let pass = match finding {
            Finding::Contra { .. } | Finding::ContraProposed { .. } => Pass::Contra,
            Finding::Group { .. } => Pass::Group,
            Finding::Unreferenced { .. } => Pass::Unreferenced,
            Finding::Sum { .. } => Pass::Sum,
            Finding::TooMany { count, pass, .. } => {
                let count = u64::try_from(*count).unwrap_or(u64::MAX);
                let passed = Effect::new(Kind::TooMany, Some(comparison), *pass as u8, count);
                self.effects.push(passed);
                return;
            }
        };
        match finding {
            Finding::Contra { .. } | Finding::Group { .. } => {
                let says = Says::Match { pass, confirmed: false };
                self.settle(comparison, &ids, says, rules, now);
            }
            _ => {
                self.set_aside(comparison, &ids);
                self.open(comparison, &ids, Says::Proposal { pass, confirmed_by: 0 }, now);
            }
        }
    }
}

fn place(number: u8) -> Option<Place> {
    Place::BOTH.into_iter().find(|place| *place as u8 == number)
}

fn read_anchor(value: &mut Reader<'_>) -> Option<Option<Anchor>> {
    match value.take()? {
        [0] => Some(None),
        [1] => {
            let date = read_date(value)?;
            let [side] = value.take()?;
            Some(Some((date, Side::from_number(side)?, u64::from_be_bytes(value.take()?))))
        }
        _ => None,
    }
}

/// Reads where a run is.
pub(super) fn read_cursor(value: &mut Reader<'_>) -> Option<Cursor> {
    let [pass] = value.take()?;
    Some(match pass {
        1 => Cursor::Contra(match value.take()? {
            [0] => None,
            [1] => {
                let [at] = value.take()?;
                Some((place(at)?, u64::from_be_bytes(value.take()?)))
            }
            _ => return None,
        }),
        2 => {
            let [has] = value.take()?;
            let text = read_text(value)?;
            Cursor::Groups((has == 1).then(|| text.into_boxed_str()))
        }
        3 => Cursor::Unreferenced(read_anchor(value)?),
        4 => {
            let [at] = value.take()?;
            Cursor::Sums(place(at)?, read_anchor(value)?)
        }
        _ => return None,
    })
}
