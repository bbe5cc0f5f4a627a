//! Instructions that are not taken: reasons 1xx to 3xx.

use std::time::Duration;

use bytes::Bytes;
use counterfoil_client::v1::instruction::Body;
use counterfoil_client::{instructions, signer, v1};
use counterfoil_ledger::hash::Hash;
use counterfoil_ledger::id::InstructionId;
use counterfoil_ledger::merkle;
use counterfoil_ledger::reason::Reason;
use counterfoil_ledger::signature::{self, Label};
use counterfoil_tests::banking::account;
use counterfoil_tests::consortium::{AGENT, BANKS, Consortium};
use prost::Message;
use tonic::Code;

use crate::forger::{Forger, milliseconds, now_ms};

/// What is wrong with it, and the reason that it has to be given.
type Case = (String, v1::SignedInstruction, Reason);

pub async fn are_refused(consortium: &Consortium) {
    let forger = Forger::of(consortium, BANKS[0]).await;
    let mut cases = signatures(consortium, &forger);
    cases.extend(times(&forger));
    cases.extend(bytes(&forger));
    cases.extend(heads(&forger));
    cases.extend(transfers(&forger));
    cases.extend(batches(&forger));
    cases.extend(other_bodies(&forger));
    for (what, signed, reason) in cases {
        let told = forger.submit(&signed).await.expect_err(&what);
        let code = match reason.code() {
            100..=199 => Code::InvalidArgument,
            200..=299 => Code::PermissionDenied,
            _ => Code::FailedPrecondition,
        };
        assert!(told.is(code, reason.name()), "{what}: {told:?}");
        // Clear to whoever has to correct it, and certain.
        let fact =
            |name: &str| told.facts.iter().find(|(of, _)| of == name).map(|(_, it)| it.as_str());
        assert_eq!(fact("remedy"), Some(reason.remedy()), "{what}");
        assert_eq!(fact("fate"), Some("not_taken"), "{what}");
        assert_eq!(told.message, reason.meaning(), "{what}");
    }
    every_cut_and_every_flipped_bit(&forger).await;
}

fn signatures(consortium: &Consortium, forger: &Forger) -> Vec<Case> {
    let instruction = forger.instruction(Body::Transfer(forger.transfer(BANKS[1])));
    let bytes = Bytes::from(instruction.encode_to_vec());
    let good = forger.sign(&instruction);
    let key = |institution: &str, name: &str| {
        signer::from_file(consortium.home(institution).join(name)).unwrap()
    };
    let by = |signer: std::sync::Arc<dyn signature::Signer>, label, chain: &Hash| {
        let preimage = signature::preimage(label, chain, &bytes);
        v1::SignedInstruction {
            instruction: bytes.clone(),
            items: Vec::new(),
            signatures: vec![v1::Signature {
                key_id: signer.key_id().as_bytes().to_vec().into(),
                value: signer.sign(&preimage).unwrap().to_vec().into(),
            }],
        }
    };
    let (chain, own) = (&forger.chain, || forger.signer.clone());
    let with = |change: &dyn Fn(&mut Vec<v1::Signature>)| {
        let mut signed = good.clone();
        change(&mut signed.signatures);
        signed
    };
    let flipped = |bit: usize| {
        let mut value = good.signatures[0].value.to_vec();
        value[bit / 8] ^= 1 << (bit % 8);
        with(&|it| it[0].value = value.clone().into())
    };
    let other = forger.sign(&forger.instruction(Body::Transfer(forger.transfer(BANKS[1]))));
    let (other_institution, nobody) = (
        v1::Instruction { institution: BANKS[1].to_owned(), ..instruction.clone() },
        v1::Instruction { institution: "NOBDCHZZXXX".to_owned(), ..instruction.clone() },
    );
    let case = |what: &str, signed, reason| (what.to_owned(), signed, reason);
    use Reason::{KeyPurposeWrong, KeyUnknown, SignatureInvalid, SignatureMissing};
    let mut cases = vec![
        case("unsigned", with(&|it| it.clear()), SignatureMissing),
        case("signed twice", with(&|it| it.push(it[0].clone())), SignatureMissing),
        case("a short signature", with(&|it| it[0].value.truncate(63)), SignatureMissing),
        case("a short key id", with(&|it| it[0].key_id.truncate(31)), SignatureMissing),
        case("zeros", with(&|it| it[0].value = vec![0; 64].into()), SignatureInvalid),
        case(
            "of another instruction",
            with(&|it| *it = other.signatures.clone()),
            SignatureInvalid,
        ),
        case(
            "of another chain",
            by(own(), Label::Instruction, &Hash::of(b"other")),
            SignatureInvalid,
        ),
        case("under another label", by(own(), Label::Proposal, chain), SignatureInvalid),
        case(
            "another bank's key",
            by(key(BANKS[1], "signing.pem"), Label::Instruction, chain),
            KeyUnknown,
        ),
        case("a key of nobody", with(&|it| it[0].key_id = vec![9; 32].into()), KeyUnknown),
        case(
            "a key for another purpose",
            by(key(BANKS[0], "attestation.pem"), Label::Instruction, chain),
            KeyPurposeWrong,
        ),
        // Whose it is not, one learns nothing about: neither members nor keys.
        case("own key, another's name", forger.sign(&other_institution), Reason::SignerNotCaller),
        case("no member's name", forger.sign(&nobody), Reason::SignerNotCaller),
    ];
    cases.extend(
        (0..512).step_by(37).map(|bit| (format!("bit {bit}"), flipped(bit), SignatureInvalid)),
    );
    cases
}

fn times(forger: &Forger) -> Vec<Case> {
    let hour = milliseconds(Duration::from_secs(3_600));
    let at = |id_ms: u64, valid_until_ms: u64| {
        let body = Body::Transfer(forger.transfer(BANKS[1]));
        let id =
            InstructionId::new(id_ms, instructions::new_id().as_bytes()[6..].try_into().unwrap());
        let id = id.as_bytes().to_vec().into();
        forger.sign(&v1::Instruction { id, valid_until_ms, ..forger.instruction(body) })
    };
    let anchored = |anchor_height, anchor: Hash| {
        let body = Body::Transfer(forger.transfer(BANKS[1]));
        let anchor = anchor.as_bytes().to_vec().into();
        forger.sign(&v1::Instruction { anchor_height, anchor, ..forger.instruction(body) })
    };
    let now = now_ms();
    [
        ("expired", at(now, now - 1), Reason::Expired),
        ("expired long ago", at(now, 1), Reason::Expired),
        ("of the day before yesterday", at(now - 25 * hour, now + hour), Reason::IdTooOld),
        ("of the beginning of time", at(0, now + hour), Reason::IdTooOld),
        ("of tomorrow", at(now + hour / 2, now + hour), Reason::IdInFuture),
        ("of the end of time", at((1 << 48) - 1, u64::MAX), Reason::IdInFuture),
        ("valid too long", at(now, now + 25 * hour), Reason::ValidUntilTooFar),
        ("valid for ever", at(now, u64::MAX), Reason::ValidUntilTooFar),
        ("anchored elsewhere", anchored(1, Hash::of(b"x")), Reason::AnchorMismatch),
        ("anchored in the future", anchored(u64::MAX, Hash::of(b"x")), Reason::AnchorMismatch),
    ]
    .map(|(what, signed, reason)| (what.to_owned(), signed, reason))
    .into()
}

fn field(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

/// Bytes that decode to something, but are not the bytes of it.
fn bytes(forger: &Forger) -> Vec<Case> {
    let instruction = forger.instruction(Body::Transfer(forger.transfer(BANKS[1])));
    let good = instruction.encode_to_vec();
    let unknown = [&good[..], &[0xf8, 0x3f, 1]].concat();
    // The id, 18 bytes, behind the rest.
    let reordered = [&good[18..], &good[..18]].concat();
    let twice = [&good[..18], &good[..]].concat();
    // Not the same byte within the id.
    let until = 18 + good[18..].iter().position(|byte| *byte == field(3, 0)).unwrap();
    assert_eq!(until, 18 + 13, "valid_until_ms behind id and institution");
    let end = (until + 1..).find(|at| good[*at] < 0x80).unwrap();
    let padded = [&good[..end], &[good[end] | 0x80, 0], &good[end + 1..]].concat();
    let default = [&good[..=end], &[field(4, 0), 0], &good[end + 1..]].concat();
    let mut cases: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("an unknown field", unknown, Reason::NotCanonical),
        ("reordered", reordered, Reason::NotCanonical),
        ("a field twice", twice, Reason::NotCanonical),
        ("a padded varint", padded, Reason::NotCanonical),
        ("a default that is written", default, Reason::NotCanonical),
        ("garbage", vec![0xff; 100], Reason::Malformed),
        ("a text", b"<Document/>".to_vec(), Reason::Malformed),
        ("nothing", Vec::new(), Reason::BodyMissing),
    ];
    // Two bodies of which the last counts: a reader of the first would see another order.
    let other = v1::Instruction {
        body: Some(Body::Transfer(forger.transfer(BANKS[2]))),
        ..v1::Instruction::default()
    };
    cases.push((
        "two bodies",
        [good.clone(), other.encode_to_vec()].concat(),
        Reason::NotCanonical,
    ));
    let mut transfer = forger.transfer(BANKS[1]).encode_to_vec();
    transfer.extend([0xf8, 0x3f, 1]);
    let hidden = with_transfer_bytes(&instruction, &transfer);
    cases.push(("an unknown field within", hidden, Reason::NotCanonical));
    let mut transfer =
        v1::Transfer { end_to_end_id: "AAAA".to_owned(), ..forger.transfer(BANKS[1]) }
            .encode_to_vec();
    let at = transfer.windows(4).position(|window| window == b"AAAA").unwrap();
    transfer[at] = 0xff;
    cases.push(("no UTF-8", with_transfer_bytes(&instruction, &transfer), Reason::Malformed));
    let mut cases: Vec<Case> = cases
        .into_iter()
        .map(|(what, bytes, reason)| {
            (what.to_owned(), forger.sign_bytes(bytes, Vec::new()), reason)
        })
        .collect();
    // Items are signed through their root, byte for byte.
    let mut item = forger.transfer(BANKS[1]).encode_to_vec();
    item.extend([0xf8, 0x3f, 1]);
    let item = Bytes::from(item);
    let batch = batch_of(std::slice::from_ref(&item));
    cases.push((
        "an unknown field in an item".to_owned(),
        forger.sign_bytes(forger.instruction(Body::Transfers(batch)).encode_to_vec(), vec![item]),
        Reason::NotCanonical,
    ));
    cases
}

/// An instruction with a transfer that prost would not encode so.
fn with_transfer_bytes(instruction: &v1::Instruction, transfer: &[u8]) -> Vec<u8> {
    let mut bytes = v1::Instruction { body: None, ..instruction.clone() }.encode_to_vec();
    prost::encoding::encode_key(17, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(u64::try_from(transfer.len()).unwrap(), &mut bytes);
    bytes.extend(transfer);
    bytes
}

fn heads(forger: &Forger) -> Vec<Case> {
    let good = || forger.instruction(Body::Transfer(forger.transfer(BANKS[1])));
    let with_id = |id: Vec<u8>| v1::Instruction { id: id.into(), ..good() };
    let of = |institution: &str| v1::Instruction { institution: institution.to_owned(), ..good() };
    let version_4 = instructions::new_uetr().as_bytes().to_vec();
    [
        ("no body", forger.instruction(None), Reason::BodyMissing),
        ("no id", with_id(Vec::new()), Reason::IdMalformed),
        ("a short id", with_id(vec![0x77; 15]), Reason::IdMalformed),
        ("a long id", with_id(vec![0x77; 17]), Reason::IdMalformed),
        ("an id of version 4", with_id(version_4), Reason::IdMalformed),
        ("no BIC", of(""), Reason::BicMalformed),
        ("a BIC of eight", of("ALPSCHZZ"), Reason::BicMalformed),
        ("a BIC of twelve", of("ALPSCHZZXXXX"), Reason::BicMalformed),
        ("a BIC in lower case", of("alpschzzxxx"), Reason::BicMalformed),
        ("a BIC with a space", of("ALPSCHZZXX "), Reason::BicMalformed),
        ("a BIC that is text", of(&"A".repeat(10_000)), Reason::BicMalformed),
        (
            "valid until nothing",
            v1::Instruction { valid_until_ms: 0, ..good() },
            Reason::ValidUntilMissing,
        ),
        (
            "a short anchor",
            v1::Instruction { anchor_height: 1, anchor: vec![1; 31].into(), ..good() },
            Reason::AnchorMalformed,
        ),
        ("half an anchor", v1::Instruction { anchor_height: 1, ..good() }, Reason::AnchorMalformed),
    ]
    .map(|(what, instruction, reason)| (what.to_owned(), forger.sign(&instruction), reason))
    .into()
}

fn transfers(forger: &Forger) -> Vec<Case> {
    let good = || forger.transfer(BANKS[1]);
    let dated = |settlement_date| v1::Transfer { settlement_date, ..good() };
    let called =
        |end_to_end_id: &str| v1::Transfer { end_to_end_id: end_to_end_id.to_owned(), ..good() };
    let uetr = |uetr: &[u8]| v1::Transfer { uetr: uetr.to_vec().into(), ..good() };
    let version_7 = instructions::new_id();
    let own: Bytes = account(BANKS[0], "CHF").as_bytes().to_vec().into();
    [
        (
            "no debit account",
            v1::Transfer { debit_account: Bytes::new(), ..good() },
            Reason::AccountIdMalformed,
        ),
        (
            "a short account",
            v1::Transfer { credit_account: own.slice(1..), ..good() },
            Reason::AccountIdMalformed,
        ),
        ("to oneself", v1::Transfer { credit_account: own, ..good() }, Reason::SameAccount),
        ("nothing", v1::Transfer { amount: 0, ..good() }, Reason::AmountZero),
        ("too much", v1::Transfer { amount: 1 << 63, ..good() }, Reason::AmountTooLarge),
        ("everything", v1::Transfer { amount: u64::MAX, ..good() }, Reason::AmountTooLarge),
        ("no UETR", uetr(&[]), Reason::UetrMalformed),
        ("a short UETR", uetr(&instructions::new_uetr().as_bytes()[1..]), Reason::UetrMalformed),
        ("a UETR of version 7", uetr(version_7.as_bytes()), Reason::UetrMalformed),
        ("zeros for a UETR", uetr(&[0; 16]), Reason::UetrMalformed),
        ("the 30th of February", dated(20_260_230), Reason::DateMalformed),
        ("a 29th of February", dated(21_000_229), Reason::DateMalformed),
        ("month 13", dated(20_261_301), Reason::DateMalformed),
        ("day 0", dated(20_260_100), Reason::DateMalformed),
        ("a date of one digit", dated(1), Reason::DateMalformed),
        ("a date of ten digits", dated(u32::MAX), Reason::DateMalformed),
        ("a reference of 36", called(&"A".repeat(36)), Reason::ReferenceMalformed),
        ("a reference with a line", called("A\nB"), Reason::ReferenceMalformed),
        ("a reference with a NUL", called("A\0B"), Reason::ReferenceMalformed),
        ("a reference with an umlaut", called("GR\u{dc}EZI"), Reason::ReferenceMalformed),
        ("a reference with markup", called("<script>"), Reason::ReferenceMalformed),
        ("a reference that begins with a space", called(" A"), Reason::ReferenceMalformed),
        (
            "a short commitment",
            v1::Transfer { commitment: vec![1; 31].into(), ..good() },
            Reason::CommitmentMalformed,
        ),
        ("no salt", v1::Transfer { salt: Bytes::new(), ..good() }, Reason::SaltMissing),
        ("a short salt", v1::Transfer { salt: vec![1; 15].into(), ..good() }, Reason::SaltMissing),
    ]
    .map(|(what, transfer, reason)| {
        (what.to_owned(), forger.sign(&forger.instruction(Body::Transfer(transfer))), reason)
    })
    .into()
}

fn batch_of(items: &[Bytes]) -> v1::Batch {
    let root = merkle::root_of(items.iter().map(|item| merkle::leaf_hash(item)));
    v1::Batch {
        count: u32::try_from(items.len()).unwrap(),
        items_root: root.as_bytes().to_vec().into(),
        all_or_nothing: false,
    }
}

fn batches(forger: &Forger) -> Vec<Case> {
    let items: Vec<Bytes> =
        (0..3).map(|_| forger.transfer(BANKS[1]).encode_to_vec().into()).collect();
    let good = batch_of(&items);
    let sign = |batch: v1::Batch, items: &[Bytes]| {
        let instruction = forger.instruction(Body::Transfers(batch));
        forger.sign_bytes(instruction.encode_to_vec(), items.to_vec())
    };
    let counted = |count| sign(v1::Batch { count, ..good.clone() }, &items);
    let rooted =
        |root: Vec<u8>| sign(v1::Batch { items_root: root.into(), ..good.clone() }, &items);
    let swapped = [items[1].clone(), items[0].clone(), items[2].clone()];
    let many: Vec<Bytes> = vec![items[0].clone(); 8_193];
    // Two leaves that pretend to be one inner node: the tree must not be fooled.
    let hashes: Vec<Hash> = items[..2].iter().map(|item| merkle::leaf_hash(item)).collect();
    let inner = Bytes::from([&[1], &hashes[0].as_bytes()[..], &hashes[1].as_bytes()[..]].concat());
    let zero: Bytes =
        v1::Transfer { amount: 0, ..forger.transfer(BANKS[1]) }.encode_to_vec().into();
    let bad_item = [items[0].clone(), zero];
    let large = Bytes::from(vec![b'x'; 3 << 20]);
    let single = forger.instruction(Body::Transfer(forger.transfer(BANKS[1])));
    let one: Bytes = items[0].clone();
    [
        ("no items", sign(batch_of(&[]), &[]), Reason::BatchCountWrong),
        ("fewer items than it says", counted(4), Reason::BatchCountWrong),
        ("more items than it says", counted(2), Reason::BatchCountWrong),
        ("count 0 with items", counted(0), Reason::BatchCountWrong),
        ("count 2^32 - 1", counted(u32::MAX), Reason::BatchCountWrong),
        ("more than 8,192 items", sign(batch_of(&many), &many), Reason::BatchCountWrong),
        ("no root", rooted(Vec::new()), Reason::BatchRootWrong),
        ("a short root", rooted(good.items_root[1..].to_vec()), Reason::BatchRootWrong),
        ("another root", rooted(vec![5; 32]), Reason::BatchRootWrong),
        ("items in another order", sign(good.clone(), &swapped), Reason::BatchRootWrong),
        (
            "an inner node for an item",
            sign(v1::Batch { count: 1, ..batch_of(&items[..2]) }, &[inner]),
            Reason::BatchRootWrong,
        ),
        ("an item of nothing", sign(batch_of(&bad_item), &bad_item), Reason::AmountZero),
        (
            "an item too large",
            sign(batch_of(std::slice::from_ref(&large)), &[large]),
            Reason::TooLarge,
        ),
        (
            "items beside a single transfer",
            forger.sign_bytes(single.encode_to_vec(), vec![one]),
            Reason::ItemsUnexpected,
        ),
    ]
    .map(|(what, signed, reason)| (what.to_owned(), signed, reason))
    .into()
}

fn other_bodies(forger: &Forger) -> Vec<Case> {
    let own: Bytes = account(BANKS[0], "CHF").as_bytes().to_vec().into();
    let others: Bytes = account(BANKS[1], "CHF").as_bytes().to_vec().into();
    let open = |servicer: &str, asset: &str, name: &str| {
        let (servicer, asset, name) = (servicer.to_owned(), asset.to_owned(), name.to_owned());
        Body::OpenAccount(v1::OpenAccount { servicer, owner: BANKS[0].to_owned(), asset, name })
    };
    let bank = BANKS[0];
    let singles = [
        ("opened by its owner", open(AGENT, "CHF", "x"), Reason::SignerNotServicer),
        ("a nameless account", open(bank, "CHF", ""), Reason::NameMalformed),
        ("a long name", open(bank, "CHF", &"n".repeat(36)), Reason::NameMalformed),
        ("an asset in lower case", open(bank, "chf", "x"), Reason::AssetMalformed),
        ("no asset", open(bank, "", "x"), Reason::AssetMalformed),
        ("a servicer that is none", open("ALPS", "CHF", "x"), Reason::BicMalformed),
    ];
    let statement = |from_date, to_date| v1::Statement {
        account: own.clone(),
        statement_id: "S".to_owned(),
        from_date,
        to_date,
        opening_balance: i64::MIN,
        closing_balance: i64::MAX,
        salt: instructions::salt(),
        ..v1::Statement::default()
    };
    let statements = [
        ("a statement of no day", statement(0, 0), Reason::DateMalformed),
        ("a statement backwards", statement(20_260_102, 20_260_101), Reason::DatesReversed),
        ("a statement of an age", statement(19_000_101, 99_991_231), Reason::DatesReversed),
        (
            "a statement without a name",
            v1::Statement { statement_id: String::new(), ..statement(20_260_101, 20_260_101) },
            Reason::StatementIdMissing,
        ),
    ];
    let entry = || v1::BookEntry {
        account: own.clone(),
        side: v1::Side::Credit.into(),
        amount: 1,
        booking_date: 20_260_101,
        salt: instructions::salt(),
        ..v1::BookEntry::default()
    };
    let books = [
        (
            "an entry of no side",
            vec![v1::BookEntry { side: 0, ..entry() }],
            false,
            Reason::SideMissing,
        ),
        (
            "an entry of a third side",
            vec![v1::BookEntry { side: 7, ..entry() }],
            false,
            Reason::SideMissing,
        ),
        (
            "an entry of no day",
            vec![v1::BookEntry { booking_date: 0, ..entry() }],
            false,
            Reason::DateMalformed,
        ),
        (
            "a value date that is none",
            vec![v1::BookEntry { value_date: 7, ..entry() }],
            false,
            Reason::DateMalformed,
        ),
        (
            "an entry of nothing",
            vec![v1::BookEntry { amount: 0, ..entry() }],
            false,
            Reason::AmountZero,
        ),
        (
            "half a UETR",
            vec![v1::BookEntry { uetr: vec![4; 8].into(), ..entry() }],
            false,
            Reason::UetrMalformed,
        ),
        (
            "entries of two accounts",
            vec![entry(), v1::BookEntry { account: others, ..entry() }],
            false,
            Reason::ItemsMixed,
        ),
        ("entries, all or none", vec![entry()], true, Reason::AllOrNothingUnsupported),
    ];
    let mut cases: Vec<Case> = singles
        .into_iter()
        .chain(statements.map(|(what, it, reason)| (what, Body::Statement(it), reason)))
        .map(|(what, body, reason)| {
            (what.to_owned(), forger.sign(&forger.instruction(body)), reason)
        })
        .collect();
    for (what, entries, all_or_nothing, reason) in books {
        let items: Vec<Bytes> = entries.iter().map(|it| it.encode_to_vec().into()).collect();
        let body = Body::BookEntries(v1::Batch { all_or_nothing, ..batch_of(&items) });
        let signed = forger.sign_bytes(forger.instruction(body).encode_to_vec(), items);
        cases.push((what.to_owned(), signed, reason));
    }
    cases
}

/// No part of a request, and no request with one bit changed, is taken for another one.
async fn every_cut_and_every_flipped_bit(forger: &Forger) {
    let instruction = forger.instruction(Body::Transfer(forger.transfer(BANKS[1])));
    let signed = forger.sign(&instruction);
    let request = v1::SubmitInstructionRequest {
        signed_instruction: Some(signed.clone()),
        ..Default::default()
    };
    let request = request.encode_to_vec();
    let refused = async |what: String, bytes: Vec<u8>| {
        let told = forger.submit_bytes(bytes).await.expect_err(&what);
        let codes = [Code::InvalidArgument, Code::PermissionDenied, Code::FailedPrecondition];
        assert!(codes.iter().any(|code| told.code == *code as i32), "{what}: {told:?}");
        assert!(!told.reason.is_empty(), "{what}: {told:?}");
    };
    for length in 0..request.len() {
        refused(format!("the first {length} bytes"), request[..length].to_vec()).await;
    }
    for bit in 0..request.len() * 8 {
        let mut flipped = request.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(format!("bit {bit} flipped"), flipped).await;
    }
    // A part of an instruction, signed as if it were the whole.
    for length in 0..signed.instruction.len() {
        let part = forger.sign_bytes(signed.instruction.slice(..length), Vec::new());
        let request =
            v1::SubmitInstructionRequest { signed_instruction: Some(part), ..Default::default() };
        refused(format!("{length} signed bytes"), request.encode_to_vec()).await;
    }
}
