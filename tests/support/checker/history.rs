//! A recorded history: what clients asked and were answered, and when; what was done to the nodes; and
//! what each node says at the end. It is a file of JSON lines, so that a run can be judged again.
//!
//! Times are microseconds since the run began, by one monotonic clock. Ids, hashes and account ids are
//! text as the ledger prints them; bytes are base64.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Everything that is known of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What it began with.
    pub founding: Founding,
    /// Every call of every client, in no order.
    pub calls: Vec<Call>,
    /// What was done to the nodes and the network.
    pub faults: Vec<Fault>,
    /// The moments from which on nothing was wrong any more, until the next fault.
    pub healed_us: Vec<u64>,
    /// What each node says at the end.
    pub nodes: Vec<NodeEnd>,
}

/// What a run began with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The genesis file.
    pub genesis: String,
    /// What the schedule of faults and the clients' choices follow from.
    pub seed: u64,
    /// How long after the faults have ended a new write may take to be final.
    pub recover_within_us: u64,
    /// Nodes at the end.
    pub node_count: usize,
}

/// One call of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Whose: each client makes one call at a time.
    pub client: String,
    /// When it was made.
    pub begun_us: u64,
    /// When it was answered, or given up.
    pub ended_us: u64,
    /// What was asked.
    pub asked: Asked,
    /// What was answered.
    pub answer: Answer,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// That signed bytes be executed, for the first time or again.
    Submit {
        /// Who signed.
        institution: String,
        /// The id.
        id: String,
        /// SHA-256 of what was signed.
        hash: String,
        /// Whether one refused item refuses them all.
        all_or_nothing: bool,
    },
    /// What became of an id.
    Instruction {
        /// Whose.
        institution: String,
        /// The id.
        id: String,
        /// How fresh.
        mode: Mode,
    },
    /// Some accounts, or all of them.
    Accounts {
        /// Whether the answer must have every account of the ledger.
        all: bool,
        /// How fresh.
        mode: Mode,
    },
    /// The postings of an account as they happen, from the first on.
    Watch {
        /// Which.
        account: String,
        /// Whether it was waited for to the last posting of the run.
        to_end: bool,
    },
}

/// How fresh an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything that was reported final, and nothing that is not.
    Final,
    /// Everything that was ordered.
    Ordered,
    /// What the node has.
    Stale,
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The ledger has decided.
    Decided {
        /// How certain that is said to be.
        is_final: bool,
        /// The verdict on the instruction, and those on its items in order.
        verdicts: Vec<Verdict>,
        /// The receipt of each verdict.
        receipts: Vec<String>,
    },
    /// A no before anything was decided.
    Refused {
        /// Its name.
        reason: String,
        /// That the instruction is on the ledger with this content, by the word of the nodes, is
        /// excluded.
        not_taken: bool,
    },
    /// What no honest node answers.
    Wrong {
        /// What is wrong with it.
        problem: String,
    },
    /// Not known.
    Unknown {
        /// What the last attempt met.
        cause: String,
    },
    /// Accounts at one moment.
    Accounts(View),
    /// Postings, in the order in which they came.
    Movements(Vec<Movement>),
}

/// A verdict as it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// From 1; 0 for the instruction itself.
    pub item: u32,
    /// What became of it.
    pub state: State,
    /// The reason's number, 0 where it was not refused.
    pub reason: u32,
    /// Height of its block.
    pub height: u64,
    /// Leaf of that block.
    pub leaf: u32,
}

/// What became of an instruction or item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Money has moved.
    Settled,
    /// Refused for ever.
    Rejected,
    /// Recorded.
    Recorded,
    /// A batch whose items have verdicts of their own.
    Itemised,
}

/// Accounts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Height of the block after which it is true.
    pub height: u64,
    /// Hash of that block's header.
    pub header: String,
    /// Whether that block is said to be final.
    pub is_final: bool,
    /// The accounts.
    pub accounts: Vec<Account>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Who keeps it.
    pub servicer: String,
    /// Whose money it is; the servicer's own may be overdrawn.
    pub owner: String,
    /// In what.
    pub asset: String,
    /// Minor units.
    pub balance: i64,
    /// Postings so far.
    pub postings: u64,
}

/// A posting of a watched account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Height of its block.
    pub height: u64,
    /// Leaf of that block.
    pub leaf: u32,
    /// The account's own count of postings, from 1.
    pub sequence: u64,
    /// Minor units, negative for a debit.
    pub change: i64,
    /// Minor units after it.
    pub balance: i64,
}

/// What was done to nodes or network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// From when.
    pub begun_us: u64,
    /// Until when.
    pub ended_us: u64,
    /// Which kind.
    pub kind: String,
    /// To what.
    pub what: String,
}

/// What a node says at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEnd {
    /// From 1.
    pub node: u64,
    /// Why it does not answer, if it does not.
    pub down: Option<String>,
    /// Each header, by height.
    pub headers: Vec<String>,
    /// All accounts.
    pub accounts: View,
    /// All transfers that were decided, in the order of the ledger.
    pub transfers: Vec<Transfer>,
    /// What it says of single ids.
    pub instructions: Vec<Known>,
}

/// A transfer as a node lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Who signed.
    pub institution: String,
    /// The id of the instruction that carried it.
    pub id: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Account id.
    pub debit: String,
    /// Account id.
    pub credit: String,
    /// Minor units.
    pub amount: u64,
    /// UETR.
    pub uetr: String,
    /// Number of its first posting, 0 without postings.
    pub first_posting: u64,
}

/// What a node says of one id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Who signed.
    pub institution: String,
    /// The id.
    pub id: String,
    /// What it says.
    pub answer: Answer,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Founding(Founding),
    Call(Call),
    Fault(Fault),
    Healed(u64),
    Node(NodeEnd),
}

impl Answer {
    /// Whether the ledger has decided, and for ever.
    pub fn is_final(&self) -> bool {
        matches!(self, Answer::Decided { is_final: true, .. })
    }
}

impl History {
    /// Reads a file that [`History::save`] wrote.
    pub fn load(path: &Path) -> Result<History, String> {
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(|error| said(&error))?;
        let mut history = History::default();
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(|error| said(&error))?;
            let line = serde_json::from_str(&line)
                .map_err(|error| format!("{}, line {number}: {error}", path.display()))?;
            match line {
                Line::Founding(founding) => history.founding = founding,
                Line::Call(call) => history.calls.push(call),
                Line::Fault(fault) => history.faults.push(fault),
                Line::Healed(at) => history.healed_us.push(at),
                Line::Node(node) => history.nodes.push(node),
            }
        }
        Ok(history)
    }

    /// Writes everything to a file.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut write = |line: &Line| -> std::io::Result<()> {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")
        };
        write(&Line::Founding(self.founding.clone()))?;
        self.calls.iter().try_for_each(|call| write(&Line::Call(call.clone())))?;
        self.faults.iter().try_for_each(|fault| write(&Line::Fault(fault.clone())))?;
        self.healed_us.iter().try_for_each(|at| write(&Line::Healed(*at)))?;
        self.nodes.iter().try_for_each(|node| write(&Line::Node(node.clone())))?;
        file.flush()
    }
}
