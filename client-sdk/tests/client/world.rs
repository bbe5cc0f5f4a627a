//! What every test begins with.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use counterfoil_client::builder::ClientBuilder;
use counterfoil_client::{AccountId, Client, Order, instructions, signer};
use counterfoil_ledger::id::InstructionId;

use crate::consortium::{AGENT, BANK, Consortium, Leaf};
use crate::ledger::Ledger;
use crate::node::Node;

/// A consortium with one ledger and as many nodes as a test starts.
pub struct World {
    pub consortium: Consortium,
    pub ledger: Arc<Mutex<Ledger>>,
}

impl World {
    pub fn new() -> World {
        let consortium = Consortium::found();
        let ledger = Arc::new(Mutex::new(Ledger::found(&consortium, &consortium.genesis)));
        World { consortium, ledger }
    }

    pub fn node(&self) -> Node {
        self.node_with(&self.consortium.agent.leaf(&format!("{AGENT}/node/node")))
    }

    pub fn node_with(&self, leaf: &Leaf) -> Node {
        Node::start(&self.ledger, leaf, &self.consortium.bank)
    }

    pub fn builder(&self) -> ClientBuilder {
        let path = |name| self.consortium.path(name);
        Client::builder()
            .genesis_file(path("genesis.bin"))
            .identity(path("client/certificate.pem"), path("client/key.pem"))
            .signer(signer::from_file(path("signing.key.pem")).unwrap())
            .journal(path("journal"))
            .deadline(Duration::from_secs(5))
            .attempt_timeout(Duration::from_millis(400))
    }

    pub fn client(&self, nodes: &[&Node]) -> Client {
        self.builder().endpoints(nodes.iter().map(|node| node.endpoint())).build().unwrap()
    }

    pub fn account(&self, owner: &str) -> AccountId {
        let bic = |text| self.consortium.bic(text);
        AccountId::of(&bic(AGENT), &bic(owner), "CHF", "settlement")
    }

    pub fn order(&self) -> Order {
        Order::transfer(instructions::transfer(self.account(BANK), self.account(AGENT), 100))
    }

    pub fn decided(&self, id: InstructionId) -> bool {
        let bank = self.consortium.bic(BANK);
        self.ledger.lock().unwrap().chain.places.contains_key(&(bank, *id.as_bytes()))
    }
}

/// An address at which nobody listens.
pub fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("https://{}", listener.local_addr().unwrap())
}
