//! Originals of statements: sealed by who imports them, kept by the nodes of both parties, opened by the
//! other party, and by nobody else.

use std::fs;
use std::io::Cursor;

use counterfoil_client::instructions::{self, Order};
use counterfoil_client::originals::NotMoved;
use counterfoil_client::sealed::{self, About, NotOpened, SealingKey};
use counterfoil_client::{Client, Error, v1};
use counterfoil_ledger::account::AccountId;
use counterfoil_ledger::agreement::terms::SealingKeys;
use counterfoil_ledger::agreement::{AgreementId, Party};
use counterfoil_ledger::asset::AssetCode;
use counterfoil_ledger::bic::Bic;
use counterfoil_ledger::date::Date;
use counterfoil_ledger::hash::Hash;
use counterfoil_tests::banking::accepted;
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use counterfoil_tests::desk::Desk;

use crate::desk::{now_ms, only, refusal};

const OWNER: &str = BANKS[0];
const DAY: &str = "2026-03-31";

/// A consortium in which two institutions keep originals.
struct Office {
    consortium: Consortium,
    account: AccountId,
    agreement: AgreementId,
    keys: SealingKeys,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_reaches_the_other_party_and_nobody_else() {
    let office = Office::open().await;
    let first = office.imported("S1").await;
    the_other_party_opens_it(&office, &first).await;
    nobody_else_gets_it(&office, &first).await;
    what_a_disk_has_changed_is_not_opened(&office, &first).await;
    a_statement_names_its_file(&office).await;
    a_node_that_is_lost_takes_nothing_along(&office, &first).await;
    what_could_not_be_passed_on_is_fetched(&office).await;
    each_deletes_its_own(&office, &first).await;
}

impl Office {
    async fn open() -> Office {
        let consortium = Consortium::start();
        let bic = |text| Bic::parse(text).unwrap();
        let (agent, owner) = (consortium.client(AGENT), consortium.client(OWNER));
        let code = AssetCode::parse("CHF").unwrap();
        let order = Order::open_account(&bic(AGENT), &bic(OWNER), &code, "SETTLEMENT");
        accepted(&agent, order).await;
        let account = AccountId::of(&bic(AGENT), &bic(OWNER), "CHF", "SETTLEMENT");
        let key = |institution| {
            let made = Desk::of(&consortium, institution)
                .ask(&format!("pki sealing-key --out {institution}/sealing.key.pem"));
            assert_eq!(made["sealingKey"].as_str().unwrap().len(), 44);
            own_key(&consortium, institution).public()
        };
        let keys = SealingKeys { servicer: key(AGENT), owner: key(OWNER) };
        let from = Date::parse(DAY).unwrap();
        let terms = v1::AgreementTerms {
            servicer_book: false,
            keep_originals: true,
            servicer_sealing_key: keys.servicer.to_vec().into(),
            owner_sealing_key: keys.owner.to_vec().into(),
            ..instructions::agreement_terms(&bic(AGENT), &bic(OWNER), &[account], from)
        };
        let agreement = AgreementId::of(&terms);
        accepted(&owner, Order::propose_agreement(terms, now_ms() + 3_600_000)).await;
        // The agent's clerk is warned of a key that is not theirs, and accepts with the right one.
        let desk = Desk::of(&consortium, AGENT);
        let accept = format!("recon agreement accept {agreement} --yes --sealing-key");
        let other = desk.fails(&format!("{accept} {OWNER}/sealing.key.pem"), 5);
        assert_eq!(other, "SEALING_KEY_DIFFERS");
        desk.ask(&format!("{accept} {AGENT}/sealing.key.pem"));
        Office { consortium, account, agreement, keys }
    }

    /// Imports a book of one entry; what its file is.
    async fn imported(&self, statement: &str) -> (About, Vec<u8>) {
        let file = format!(
            "booking_date,value_date,side,currency,amount,entry_reference,uetr,end_to_end_id\n\
             {DAY},,CREDIT,CHF,1,{statement},,{statement}\n"
        );
        let name = format!("{statement}.csv");
        fs::write(self.consortium.path().join(&name), &file).unwrap();
        let import = format!(
            "recon import --file {name} --statement-id {statement} --from {DAY} --to {DAY} \
             --opening 0 --closing 1 --again"
        );
        let answer = Desk::of(&self.consortium, OWNER).ask(&import);
        let part = &answer[0];
        assert_eq!(part["statement"]["state"], "RECORDED", "{part}");
        let of = |field: &str| {
            let list = part["original"][field].as_array().unwrap().iter();
            list.map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut everybody = [of("heldBy"), of("missing")].concat();
        everybody.sort();
        assert_eq!(everybody, [OWNER, AGENT]);
        assert_eq!(of("missing").is_empty(), self.consortium.is_running(self.node_of(AGENT)));
        (self.about(file.as_bytes()), file.into_bytes())
    }

    fn about(&self, file: &[u8]) -> About {
        let (agreement, account) = (self.agreement, self.account);
        About { agreement, account, original: Hash::of(file) }
    }

    fn node_of(&self, institution: &str) -> usize {
        let mut nodes = 0..self.consortium.node_count();
        nodes.find(|node| self.consortium.institution(*node) == institution).unwrap()
    }

    /// A client of an institution that asks one node alone.
    fn at(&self, institution: &str, node: usize) -> Client {
        self.consortium.client_at(institution, &[node])
    }

    fn at_own(&self, institution: &str) -> Client {
        self.at(institution, self.node_of(institution))
    }

    async fn fetched(&self, client: &Client, about: &About) -> Result<Vec<u8>, Error> {
        let mut sealed = Vec::new();
        match client.get_original(about, &mut sealed, |_, _| {}).await {
            Ok(length) => assert_eq!(length, u64::try_from(sealed.len()).unwrap()),
            Err(NotMoved::Call(error)) => return Err(error),
            Err(NotMoved::Io(error)) => panic!("{error}"),
        }
        Ok(sealed)
    }
}

fn own_key(consortium: &Consortium, institution: &str) -> SealingKey {
    SealingKey::from_file(&consortium.home(institution).join("sealing.key.pem")).unwrap()
}

fn opened(
    sealed: &[u8],
    about: &About,
    party: Party,
    key: &SealingKey,
) -> Result<Vec<u8>, NotOpened> {
    let mut file = Vec::new();
    sealed::open(sealed, &mut file, about, party, key).map(|_| file)
}

async fn the_other_party_opens_it(office: &Office, (about, file): &(About, Vec<u8>)) {
    let agent = office.at_own(AGENT);
    let listed = agent.statements(office.account, v1::Source::OwnerBook).all().await.unwrap();
    let one = only(listed.value);
    assert_eq!((one.statement_id.as_str(), one.number), ("S1", 1));
    assert_eq!(one.original[..], about.original.as_bytes()[..]);
    assert_eq!(one.agreement[..], about.agreement.as_bytes()[..]);

    let sealed = office.fetched(&agent, about).await.unwrap();
    assert!(!sealed.windows(file.len()).any(|it| it == file), "nodes keep nothing in the clear");
    let key = own_key(&office.consortium, AGENT);
    assert_eq!(opened(&sealed, about, Party::Servicer, &key).unwrap(), *file);
    let other = SealingKey::generate();
    let refused = opened(&sealed, about, Party::Servicer, &other).unwrap_err();
    assert!(matches!(refused, NotOpened::WrongKey));

    let desk = Desk::of(&office.consortium, AGENT);
    let account = office.account;
    let fetch = format!("recon original {account} S1 --out got.csv --sealing-key");
    let wrong = desk.fails(&format!("{fetch} {OWNER}/sealing.key.pem"), 4);
    assert_eq!(wrong, "SEALING_KEY_DIFFERS");
    let out = office.consortium.path().join("got.csv");
    assert!(!out.exists());
    let answer = desk.ask(&format!("{fetch} {AGENT}/sealing.key.pem"));
    assert_eq!(answer["sha256"], about.original.to_string());
    assert_eq!(fs::read(out).unwrap(), *file);
    assert_eq!(desk.fails(&format!("{fetch} {AGENT}/sealing.key.pem"), 5), "FILE_EXISTS");
    let unknown = format!("recon original {account} S9 --out s9.csv");
    assert_eq!(desk.fails(&unknown, 3), "STATEMENT_UNKNOWN");
    let listed = desk.ask(&format!("recon statements {account}"));
    assert_eq!(listed[0]["sealedUnder"], about.agreement.to_string());
}

async fn nobody_else_gets_it(office: &Office, (about, _): &(About, Vec<u8>)) {
    let stranger = BANKS[2];
    for node in 0..office.consortium.node_count() {
        let client = office.at(stranger, node);
        assert_eq!(refusal(office.fetched(&client, about).await), "NOT_FOUND");
        assert_eq!(refusal(client.delete_original(about).await), "NOT_FOUND");
        let put = client.put_original(about, Cursor::new(vec![1; 10]), |_, _| {}).await;
        let put = put.map_err(|error| match error {
            NotMoved::Call(error) => error,
            NotMoved::Io(error) => panic!("{error}"),
        });
        assert_eq!(refusal(put), "NOT_FOUND");
        let book = client.statements(office.account, v1::Source::OwnerBook);
        assert_eq!(refusal(book.all().await), "NOT_FOUND");
    }
    // A node of neither party keeps nothing for them.
    let elsewhere = office.at(AGENT, office.node_of(stranger));
    let refused = refusal(office.fetched(&elsewhere, about).await);
    assert_eq!(refused, "NODE_OF_NEITHER_PARTY");
    // There is no such thing as an original that nobody put.
    let nothing = About { original: Hash::of(b"nothing"), ..*about };
    assert_eq!(refusal(office.fetched(&office.at_own(AGENT), &nothing).await), "NOT_FOUND");
}

/// The operator of a node can change what it keeps, or lose it.
async fn what_a_disk_has_changed_is_not_opened(office: &Office, (about, file): &(About, Vec<u8>)) {
    let node = office.node_of(AGENT);
    let agent = office.at_own(AGENT);
    let path = kept_by(office, node);
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&path, &changed).unwrap();
    let sealed = office.fetched(&agent, about).await.unwrap();
    let key = own_key(&office.consortium, AGENT);
    let refused = opened(&sealed, about, Party::Servicer, &key).unwrap_err();
    assert!(matches!(refused, NotOpened::Damaged { chunk: 0 }), "{refused}");
    let mut fetch = Desk::of(&office.consortium, AGENT).command(&format!(
        "recon original {} S1 --out damaged.csv --sealing-key {AGENT}/sealing.key.pem -o json",
        office.account
    ));
    let output = fetch
        .env("COUNTERFOIL_ENDPOINTS", office.consortium.client_address(node))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(!office.consortium.path().join("damaged.csv").exists());
    fs::remove_file(&path).unwrap();
    let sealed = office.fetched(&agent, about).await.unwrap();
    assert_eq!(opened(&sealed, about, Party::Servicer, &key).unwrap(), *file);
    // Put once more, it comes to the node that has lost it.
    assert!(!path.exists());
    let owner = office.at_own(OWNER);
    let kept = owner.put_original(about, Cursor::new(sealed), |_, _| {}).await.unwrap();
    assert_eq!((kept.held_by.len(), kept.missing.len()), (2, 0), "{kept:?}");
    assert_eq!(fs::read(&path).unwrap().len(), whole.len());
}

/// The only whole original in a node's data directory.
fn kept_by(office: &Office, node: usize) -> std::path::PathBuf {
    fn walk(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false if path.extension().is_some_and(|it| it == "sealed") => found.push(path),
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&office.consortium.node_home(node), &mut found);
    only(found)
}

async fn a_statement_names_its_file(office: &Office) {
    let date = Date::parse(DAY).unwrap();
    let statement = instructions::statement(office.account, "S0", (date, date), 0, 0);
    let owner = office.consortium.client(OWNER);
    let outcome = owner.submit(Order::statement(statement)).await.unwrap();
    let reason = outcome.verdict.rejection.as_ref().map(|it| it.name.clone());
    assert_eq!(reason.as_deref(), Some("ORIGINAL_MISSING"), "{outcome:?}");
}

async fn a_node_that_is_lost_takes_nothing_along(
    office: &Office,
    (about, file): &(About, Vec<u8>),
) {
    let node = office.node_of(OWNER);
    office.consortium.kill_node(node);
    let sealed = office.fetched(&office.at_own(AGENT), about).await.unwrap();
    let key = own_key(&office.consortium, AGENT);
    assert_eq!(opened(&sealed, about, Party::Servicer, &key).unwrap(), *file);
    // Who put it opens it, too, at the other party's node.
    let sealed = office.fetched(&office.at(OWNER, office.node_of(AGENT)), about).await.unwrap();
    let key = own_key(&office.consortium, OWNER);
    assert_eq!(opened(&sealed, about, Party::Owner, &key).unwrap(), *file);
    office.consortium.start_node(node);
    office.consortium.wait_ready();
    let sealed = office.fetched(&office.at_own(OWNER), about).await.unwrap();
    assert_eq!(opened(&sealed, about, Party::Owner, &key).unwrap(), *file);
}

async fn what_could_not_be_passed_on_is_fetched(office: &Office) {
    let node = office.node_of(AGENT);
    office.consortium.kill_node(node);
    let (about, file) = office.imported("S2").await;
    office.consortium.start_node(node);
    office.consortium.wait_ready();
    let agent = office.at_own(AGENT);
    let sealed = office.fetched(&agent, &about).await.unwrap();
    let key = own_key(&office.consortium, AGENT);
    assert_eq!(opened(&sealed, &about, Party::Servicer, &key).unwrap(), file);

    // Larger than a part; put again it goes to the node that lacked it, and is there once.
    let file: Vec<u8> = (0..3_000_000_u32).map(|place| (place % 251) as u8).collect();
    let about = office.about(&file);
    let mut sealed = Cursor::new(Vec::new());
    let length = u64::try_from(file.len()).unwrap();
    sealed::seal(&file[..], length, &mut sealed, &about, &office.keys).unwrap();
    let owner = office.at_own(OWNER);
    let mut steps = Vec::new();
    let kept = owner.put_original(&about, &mut sealed, |done, _| steps.push(done)).await.unwrap();
    assert_eq!((kept.held_by.len(), kept.missing.len()), (2, 0), "{kept:?}");
    assert!(steps.is_sorted() && steps.len() >= 3, "{steps:?}");
    let again = owner.put_original(&about, &mut sealed, |_, _| {}).await.unwrap();
    assert_eq!(again, kept);
    let fetched = office.fetched(&agent, &about).await.unwrap();
    assert_eq!(fetched, sealed.into_inner());
    assert_eq!(opened(&fetched, &about, Party::Servicer, &key).unwrap(), file);
}

async fn each_deletes_its_own(office: &Office, (about, file): &(About, Vec<u8>)) {
    let (agent, owner) = (office.at_own(AGENT), office.at_own(OWNER));
    let deleted = agent.delete_original(about).await.unwrap();
    assert_eq!(
        (&deleted.deleted_at[..], &deleted.kept_at[..]),
        (&[AGENT.into()][..], &[OWNER.into()][..])
    );
    // It is read from the owner's node, which keeps its own.
    let sealed = office.fetched(&agent, about).await.unwrap();
    let key = own_key(&office.consortium, AGENT);
    assert_eq!(opened(&sealed, about, Party::Servicer, &key).unwrap(), *file);
    let desk = Desk::of(&office.consortium, OWNER);
    let delete = format!("recon original {} S1 --delete --yes", office.account);
    let answer = desk.ask(&delete);
    assert_eq!(answer["keptAt"].as_array().unwrap().len(), 0, "{answer}");
    for client in [&agent, &owner] {
        assert_eq!(refusal(office.fetched(client, about).await), "NOT_FOUND");
    }
    // The statement stays.
    let listed = agent.statements(office.account, v1::Source::OwnerBook).all().await.unwrap();
    assert_eq!(listed.value.len(), 2);
}
