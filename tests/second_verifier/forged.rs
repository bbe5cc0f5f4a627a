//! Receipts whose parts all fit each other, made by whoever holds every key: what no chain would
//! hold, and what stands just inside or outside of a rule.

use bytes::Bytes;
use counterfoil_ledger::{
    hash::Hash,
    header::Header,
    merkle,
    registry::{self, FOR_EVER, Kind},
    signature::{Label, Signer, key_id, preimage},
};
use counterfoil_proto::v1;
use prost::Message;

use crate::{
    certificates,
    support::consortium::{ed25519, p256},
    world::World,
};

/// Everything that a receipt is made of, before anything is hashed or signed.
#[derive(Clone)]
struct Parts {
    instruction: Vec<u8>,
    item_number: u32,
    item: Vec<u8>,
    outcome: Vec<u8>,
    effects: Vec<u8>,
    effects_hash: Vec<u8>,
    record: Vec<u8>,
    key_id: Hash,
    active: (u64, u64),
    header: Header,
}

impl Parts {
    /// Those of a receipt of the chain.
    fn of(receipt: &v1::Receipt) -> Parts {
        Parts {
            instruction: receipt.instruction.to_vec(),
            item_number: receipt.item_number,
            item: receipt.item.to_vec(),
            outcome: receipt.outcome.to_vec(),
            effects: receipt.effects.to_vec(),
            effects_hash: receipt.effects_hash.to_vec(),
            record: receipt.keys[0].record.to_vec(),
            key_id: Hash::from_slice(&receipt.signatures[0].key_id).unwrap(),
            active: (receipt.keys[0].active_from, receipt.keys[0].inactive_from),
            header: Header::decode(&receipt.header).unwrap(),
        }
    }

    /// Changes the Instruction.
    fn instruct(&mut self, change: impl FnOnce(&mut v1::Instruction)) {
        let mut message = v1::Instruction::decode(&self.instruction[..]).unwrap();
        change(&mut message);
        self.instruction = message.encode_to_vec();
    }

    /// Puts another key into the record, and its id where an id is named.
    fn enrol(&mut self, key: &v1::Key) {
        self.record.truncate(11);
        self.record.extend(key.encode_to_vec());
        self.key_id = key_id(&key.public_key);
    }

    fn key(&self) -> v1::Key {
        v1::Key::decode(&self.record[11..]).unwrap()
    }

    /// The receipt, ordered: the only leaf of its block, and the only record of its registry.
    fn receipt(&self, signer: &dyn Signer) -> v1::Receipt {
        let chain_id = self.header.chain_id;
        let item_hash = match self.item_number {
            0 => Hash::ZERO,
            _ => merkle::leaf_hash(&self.item),
        };
        // What the leaf has fits whichever is given, even where both are, or where it is no hash.
        let effects = match (&self.effects[..], &self.effects_hash[..]) {
            ([], []) => vec![0; 32],
            (effects, []) => Hash::of(effects).0.to_vec(),
            (_, hash) => hash.to_vec(),
        };
        let instruction_hash = Hash::of(&self.instruction);
        let leaf = [
            &instruction_hash.as_bytes()[..],
            &self.item_number.to_be_bytes(),
            item_hash.as_bytes(),
            &self.outcome,
            &effects,
        ];
        let record = registry::leaf(Kind::Key, self.key_id.as_bytes(), self.active, &self.record);
        let header = Header {
            leaf_count: 1,
            tx_root: merkle::leaf_hash(&leaf.concat()),
            registry_count: 1,
            registry_root: merkle::leaf_hash(&record),
            ..self.header.clone()
        };
        let preimage = preimage(Label::Instruction, &chain_id, &self.instruction);
        let value = signer.sign(&preimage).unwrap().to_vec().into();
        v1::Receipt {
            instruction: self.instruction.clone().into(),
            signatures: vec![v1::Signature { key_id: self.key_id.to_bytes(), value }],
            item: self.item.clone().into(),
            item_number: self.item_number,
            item_path: Vec::new(),
            outcome: self.outcome.clone().into(),
            effects: self.effects.clone().into(),
            leaf_index: 0,
            leaf_path: Vec::new(),
            header: Bytes::copy_from_slice(&header.encode()),
            history_path: Vec::new(),
            certificate: None,
            keys: vec![v1::KeyProof {
                record: self.record.clone().into(),
                active_from: self.active.0,
                inactive_from: self.active.1,
                index: 0,
                path: Vec::new(),
            }],
            effects_hash: self.effects_hash.clone().into(),
        }
    }
}

/// Forgeries of a receipt of an item of a batch of transfers, each ordered and final.
pub fn forgeries(world: &World, genuine: &v1::Receipt) -> Vec<v1::Receipt> {
    let instruction = v1::Instruction::decode(genuine.instruction.clone()).unwrap();
    let signers = &world.chain.consortium.signers;
    let signer = signers.iter().find(|(bic, _)| bic.as_str() == instruction.institution).unwrap().1;
    let mut parts = Parts::of(genuine);
    // A batch of this one item.
    let root = merkle::leaf_hash(&parts.item);
    parts.item_number = 1;
    parts.instruct(|it| {
        change_batch(it, |batch| (batch.count, batch.items_root) = (1, root.to_bytes()))
    });
    let mut forged = Vec::new();
    let mut add = |change: &dyn Fn(&mut Parts), signer: &dyn Signer| {
        let mut changed = parts.clone();
        change(&mut changed);
        forged.push(changed.receipt(signer));
    };
    for place in 0..16 {
        for value in [0, 1, 2, 3, 4, 5, 6, 101, 145, 0xff] {
            add(&|it| it.outcome[place] = value, signer);
        }
    }
    for state in 0..=5 {
        for reason in [0, 100, 101, 127, 128, 201, 207, 306, 401, 407, 408, 501, 503, 601, 801, 901]
        {
            add(&|it| it.outcome = outcome(state, reason, 0, 0, 0), signer);
        }
        for (event, postings, first) in
            [(0, 0, 1), (2, 2, 0), (2, 1, 9), (5, 0, 0), (2, 2, 7), (6, 0, 0)]
        {
            add(&|it| it.outcome = outcome(state, 0, event, postings, first), signer);
        }
    }
    for length in [0, 15, 17] {
        add(&|it| it.outcome.resize(length, 0), signer);
    }
    for effects in [&[][..], &[0], &[1; 48], &[1; 49]] {
        let hash = Hash::of(effects).0;
        for effects_hash in
            [&[][..], &hash, &[0; 32], &hash[1..], &[&hash[..], &[0]].concat(), &[0]]
        {
            add(
                &|it| (it.effects, it.effects_hash) = (effects.to_vec(), effects_hash.to_vec()),
                signer,
            );
        }
    }
    instructions(&mut add, signer);
    items(&mut add, signer);
    keys(&mut add, signer);
    let mut all = forged.clone();
    let nodes: Vec<u64> = world.chain.consortium.nodes.keys().copied().collect();
    for receipt in forged {
        let certificate = Some(world.certify(&receipt.header, &nodes));
        all.push(v1::Receipt { certificate, ..receipt });
    }
    all.extend(certificates::forgeries(world, genuine));
    all
}

type Add<'a> = dyn FnMut(&dyn Fn(&mut Parts), &dyn Signer) + 'a;

fn outcome(state: u8, reason: u16, event: u16, postings: u16, first: u64) -> Vec<u8> {
    let words = [reason.to_be_bytes(), event.to_be_bytes(), postings.to_be_bytes()].concat();
    [&[1, state][..], &words, &first.to_be_bytes()].concat()
}

fn change_batch(instruction: &mut v1::Instruction, change: impl FnOnce(&mut v1::Batch)) {
    use v1::instruction::Body;
    match &mut instruction.body {
        Some(Body::Transfers(batch) | Body::BookEntries(batch)) => change(batch),
        _ => unreachable!("the forgeries are of a batch"),
    }
}

/// What an instruction may not be.
fn instructions(add: &mut Add<'_>, signer: &dyn Signer) {
    use v1::instruction::Body;
    let bodies = [
        None,
        Some(Body::OpenAccount(v1::OpenAccount::default())),
        Some(Body::Transfer(v1::Transfer::default())),
        Some(Body::Statement(v1::Statement { closing_balance: -1, ..v1::Statement::default() })),
        Some(Body::Transfers(v1::Batch::default())),
        Some(Body::BookEntries(v1::Batch { all_or_nothing: true, ..v1::Batch::default() })),
    ];
    for body in bodies {
        for itself in [true, false] {
            add(
                &|it| {
                    it.instruct(|it| it.body = body.clone());
                    if itself {
                        (it.item_number, it.item) = (0, Vec::new());
                    }
                },
                signer,
            );
        }
    }
    for id in [&[][..], &[7; 15], &[0x70; 16], &[0x7f; 16], &[0xb0; 17]] {
        add(&|it| it.instruct(|it| it.id = Bytes::copy_from_slice(id)), signer);
    }
    add(
        &|it| {
            it.instruct(|it| it.id = Bytes::from([&[0; 6][..], &[0x7f, 0, 0xbf], &[9; 7]].concat()))
        },
        signer,
    );
    for bic in [
        "ALPHCHZZXX0",
        "alphchzzxxx",
        "ALPHCHZZXXX\n",
        "ALPHCHZZXX",
        "",
        "1234CHZZ000",
        "ALPH1HZZXXX",
        "ÄLPHCHZZXX",
    ] {
        add(
            &|it| {
                it.instruct(|it| it.institution = bic.to_owned());
                let key = it.key().encode_to_vec();
                it.record = [bic.as_bytes(), &key].concat();
            },
            signer,
        );
    }
    let signed = |tail: &[u8]| {
        let tail = tail.to_vec();
        move |it: &mut Parts| it.instruction.extend(&tail)
    };
    // Fields of the wrong kind, order or number; a second body; balances and bools of other forms.
    for tail in [
        &[0x08, 0x01][..],
        &[0x92, 0x01, 0x00],
        &[0x9a, 0x01, 0x00],
        &[0xb2, 0x01, 0x00],
        &[0xba, 0x01, 0x00],
        &[0xc0, 0x3e, 0x01],
        &[0x00],
        &[0xb3, 0x01],
    ] {
        add(&signed(tail), signer);
    }
    for inner in [
        // A statement: closing balance −1, in ten bytes and in nine; 2^32 as a date.
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..],
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03],
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00],
        &[0x18, 0x80, 0x80, 0x80, 0x80, 0x10],
        &[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x12, 0x02, 0xc3, 0x28],
        &[0x12, 0x03, 0xed, 0xa0, 0x80],
        &[0x12, 0x02, 0xc3, 0xa9],
    ] {
        add(
            &|it| {
                it.instruct(|it| it.body = None);
                it.instruction.extend([0xb2, 0x01, u8::try_from(inner.len()).unwrap()]);
                it.instruction.extend(inner);
                (it.item_number, it.item) = (0, Vec::new());
            },
            signer,
        );
    }
}

/// What an item may not be, and where it may not stand.
fn items(add: &mut Add<'_>, signer: &dyn Signer) {
    let alone = |it: &mut Parts, item: Vec<u8>, count: u32| {
        let root = merkle::leaf_hash(&item).to_bytes();
        it.item = item;
        it.instruct(|it| change_batch(it, |batch| (batch.count, batch.items_root) = (count, root)));
    };
    let transfer = |change: &dyn Fn(&mut v1::Transfer)| {
        let mut transfer = v1::Transfer { amount: 1, ..v1::Transfer::default() };
        change(&mut transfer);
        transfer.encode_to_vec()
    };
    let entry =
        v1::BookEntry { side: 7, value_date: 9, ..v1::BookEntry::default() }.encode_to_vec();
    let negative = v1::BookEntry { side: -1, ..v1::BookEntry::default() }.encode_to_vec();
    for item in [
        Vec::new(),
        vec![0],
        vec![0x18, 0],
        vec![0x18, 1],
        vec![0x98, 0, 1],
        transfer(&|_| {}),
        transfer(&|it| it.settlement_date = u32::MAX),
        transfer(&|it| it.end_to_end_id = "é".to_owned()),
        entry.clone(),
        negative,
        vec![0x10, 0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0x10, 0x80, 0x80, 0x80, 0x80, 0x08],
        [&entry[..], &entry[..]].concat(),
    ] {
        add(&|it| alone(it, item.clone(), 1), signer);
        add(
            &|it| {
                it.instruct(|it| {
                    change_batch(it, |batch| batch.count = 1);
                    let Some(v1::instruction::Body::Transfers(batch)) = it.body.take() else {
                        return;
                    };
                    it.body = Some(v1::instruction::Body::BookEntries(batch));
                });
                alone(it, item.clone(), 1);
            },
            signer,
        );
        for count in [0, 2, 8_192, 8_193, u32::MAX] {
            add(&|it| alone(it, item.clone(), count), signer);
        }
    }
    for number in [0, 2, 8_192, u32::MAX] {
        add(&|it| it.item_number = number, signer);
    }
    for root in [&[][..], &[0; 32], &[0; 33]] {
        add(
            &|it| {
                it.instruct(|it| {
                    change_batch(it, |batch| batch.items_root = Bytes::copy_from_slice(root))
                })
            },
            signer,
        );
    }
    add(&|it| (it.item_number, it.item) = (0, Vec::new()), signer);
    let itself = |count: u32| {
        move |it: &mut Parts| {
            it.instruct(|it| {
                change_batch(it, |batch| (batch.count, batch.items_root) = (count, Bytes::new()))
            });
            (it.item_number, it.item) = (0, Vec::new());
        }
    };
    [0, 8_192, 8_193].into_iter().for_each(|count| add(&itself(count), signer));
}

/// Keys that do not count, that are for something else, or that nobody may have.
fn keys(add: &mut Add<'_>, signer: &dyn Signer) {
    for (from, until) in [(-1, 1), (0, 1), (1, 2), (0, 0), (-1, 0), (-1, -1), (1, 0)] {
        let at = |height: u64, offset: i64| height.checked_add_signed(offset).unwrap();
        add(&|it| it.active = (at(it.header.height, from), at(it.header.height, until)), signer);
    }
    add(&|it| it.active = (FOR_EVER, FOR_EVER), signer);
    for purpose in [0, 2, 3, -1] {
        add(&|it| it.enrol(&v1::Key { purpose, ..it.key() }), signer);
    }
    for name in ["", "x", "a name of more than thirty-five characters", "é", " x"] {
        add(&|it| it.enrol(&v1::Key { name: name.to_owned(), ..it.key() }), signer);
    }
    for tail in [&[0x18, 0x00][..], &[0x20, 0x01], &[0x10, 0x01], &[0x1a, 0x00], &[0x1a, 0x01]] {
        add(&|it| it.record.extend(tail), signer);
    }
    for length in [0, 10, 11, 12, 20] {
        add(&|it| it.record.truncate(length), signer);
    }
    for signer in [ed25519("somebody"), p256("somebody")] {
        let spki = signer.spki();
        let mut flipped = spki.to_vec();
        flipped[spki.len() - 1] ^= 1;
        let longer = [spki, &[0]].concat();
        for public_key in [spki, &longer, &spki[..spki.len() - 1], &spki[1..], &flipped] {
            let public_key = Bytes::copy_from_slice(public_key);
            let key = |key| v1::Key { public_key: public_key.clone(), ..key };
            add(&|it| it.enrol(&key(it.key())), &signer);
        }
    }
    points(add);
}

/// A signature that anybody can make for a key of small order, and forms of points that are not one's
/// own: a node that took them would take what nobody signed.
fn points(add: &mut Add<'_>) {
    const ED25519: &[u8] = &[48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0];
    let little = |low: u8, high: u8, rest: u8| {
        let mut point = [rest; 32];
        (point[0], point[31]) = (low, high);
        [ED25519, &point].concat()
    };
    let eight = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let eight: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&eight[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let mut keys: Vec<Vec<u8>> = vec![
        little(1, 0, 0),
        little(1, 0x80, 0),
        little(0, 0, 0),
        little(0, 0x80, 0),
        little(0xec, 0x7f, 0xff),
        little(0xec, 0xff, 0xff),
        little(0xed, 0x7f, 0xff),
        little(0xee, 0x7f, 0xff),
        little(0xff, 0xff, 0xff),
        little(2, 0, 0),
        [ED25519, &eight].concat(),
    ];
    let p256 = p256("somebody").spki().to_vec();
    // The same point compressed, and with the prefix of the hybrid form; x beyond the field; nothing.
    let form = |first: u8, length: usize| {
        let mut spki = p256[..26].to_vec();
        spki.push(first);
        spki.extend(&p256[27..length]);
        spki
    };
    keys.extend([form(2, 59), form(3, 59), form(6, 91), form(7, 91), form(5, 91), form(0, 27)]);
    keys.push([&p256[..27], &[0xff; 32], &p256[59..]].concat());
    keys.push([&p256[..27], &[0; 64]].concat());
    for public_key in keys {
        // R the identity and S zero: it holds for the key that is the identity.
        let identity = Fixed { spki: public_key.clone(), value: one() };
        add(
            &|it| it.enrol(&v1::Key { public_key: public_key.clone().into(), ..it.key() }),
            &identity,
        );
    }
}

fn one() -> [u8; 64] {
    let mut value = [0; 64];
    value[0] = 1;
    value
}

/// Gives one signature to everything.
struct Fixed {
    spki: Vec<u8>,
    value: [u8; 64],
}

impl Signer for Fixed {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], counterfoil_ledger::signature::SignerError> {
        Ok(self.value)
    }
}
