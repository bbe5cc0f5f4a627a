//! Certified headers that are changed, certificates by others than a quorum, and signatures that a
//! third party could make of others.

use bytes::Bytes;
use counterfoil_ledger::{hash::Hash, signature::Label};
use counterfoil_proto::v1;

use crate::world::World;

/// Certified headers that are changed and signed anew, and certificates by others than a quorum.
pub fn forgeries(world: &World, genuine: &v1::Receipt) -> Vec<v1::Receipt> {
    let nodes: Vec<u64> = world.chain.consortium.nodes.keys().copied().collect();
    let quorum = world.chain.state.registry().policy().finality_quorum;
    let with = |header: &[u8], certificate: v1::Certificate| v1::Receipt {
        header: Bytes::copy_from_slice(header),
        history_path: Vec::new(),
        certificate: Some(certificate),
        ..genuine.clone()
    };
    let mut all = Vec::new();
    for byte in 0..168 {
        for bit in [0, 1, 7] {
            let mut header = genuine.header.to_vec();
            header[byte] ^= 1 << bit;
            all.push(with(&header, world.certify(&header, &nodes)));
            all.push(with(&genuine.header, world.certify(&header, &nodes)));
            all.push(v1::Receipt {
                certificate: None,
                ..with(&header, v1::Certificate::default())
            });
        }
    }
    let header = &genuine.header;
    for count in 0..=nodes.len() {
        for start in 0..nodes.len() {
            let some: Vec<u64> = nodes.iter().cycle().skip(start).take(count).copied().collect();
            all.push(with(header, world.certify(header, &some)));
            let mut sorted = some.clone();
            sorted.sort_unstable();
            all.push(with(header, world.certify(header, &sorted)));
        }
    }
    let mut doubled = world.certify(header, &nodes[..quorum - 1]);
    doubled.signatures.push(doubled.signatures.last().unwrap().clone());
    all.push(with(header, doubled));
    let hash = Hash::of(header);
    for label in [Label::Instruction, Label::Proposal, Label::Absence, Label::Promise] {
        let mut certificate = world.certify(header, &nodes);
        certificate.signatures[0] = world.attest(nodes[0], label, hash.as_bytes());
        all.push(with(header, certificate));
    }
    for (stranger, node) in [(99, 1), (u64::MAX, 1), (0, 1), (1, 2)] {
        let mut certificate = world.certify(header, &nodes);
        let signature = world.attest(node, Label::Header, hash.as_bytes());
        certificate.signatures[0] = v1::NodeSignature { node: stranger, ..signature.clone() };
        certificate.signatures.sort_by_key(|it| it.node);
        all.push(with(header, certificate));
        let mut more = world.certify(header, &nodes);
        more.signatures.push(v1::NodeSignature { node: stranger, ..signature });
        all.push(with(header, more));
    }
    for node in 0..nodes.len() {
        let mut certificate = world.certify(header, &nodes);
        certificate.signatures[node].value = malleated(&certificate.signatures[node].value);
        all.push(with(header, certificate));
    }
    let mut receipt = genuine.clone();
    receipt.signatures[0].value = malleated(&receipt.signatures[0].value);
    all.push(receipt);
    all
}

/// A signature with its other s, in both algorithms: S + L for Ed25519, n − s for P-256.
fn malleated(value: &Bytes) -> Bytes {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut changed = value.to_vec();
    // An Ed25519 signature has its highest byte, which is at most 0x10, at the end.
    if value[63] <= 0x10 {
        let mut carry = 0u16;
        for place in 0..32 {
            let sum = u16::from(value[32 + place]) + u16::from(L[place]) + carry;
            changed[32 + place] = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
    } else {
        let mut borrow = 0i16;
        for place in (0..32).rev() {
            let difference = i16::from(N[place]) - i16::from(value[32 + place]) - borrow;
            changed[32 + place] = difference.to_le_bytes()[0];
            borrow = i16::from(difference < 0);
        }
    }
    changed.into()
}
