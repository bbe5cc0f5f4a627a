#!/usr/bin/env python3
"""Checks Counterfoil receipts against a genesis file, and an epoch chain where there is one.

Written from docs/reference/format.md and the .proto files alone, to show that the page is enough:
it needs Python and the package `cryptography`, and nothing of Counterfoil.

    receipt.py --genesis GENESIS [--epochs EPOCHS] RECEIPT            one receipt
    receipt.py --genesis GENESIS [--epochs EPOCHS] --framed RECEIPTS  many: length u32, bytes, ...

Writes one line for each receipt:

    final <height> <certified height> <item number> <outcome in hex>
    ordered <height> <item number> <outcome in hex>
    refused

Exit code: 0 all were checked (with one receipt: and it is final), 1 the one receipt is not final,
2 there is nothing to check against or the arguments are wrong.
"""

import argparse
import functools
import hashlib
import re
import struct
import sys
from collections import namedtuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

# What stands beside this file is read where it lies, and nothing is written there.
sys.dont_write_bytecode = True
from messages import MESSAGES, decode, need  # noqa: E402


def ascends(values):
    return all(a < b for a, b in zip(values, values[1:]))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# --- Trees ----------------------------------------------------------------------------------------


def leaf_hash(data):
    return sha256(b"\x00", data)


def tree_root(leaves):
    """The root over a list of leaves."""
    if not leaves:
        return sha256()
    level = [leaf_hash(leaf) for leaf in leaves]
    # Pairing from the left and carrying an odd last one up gives the same tree as splitting at the
    # largest power of two.
    while len(level) > 1:
        pairs = [sha256(b"\x01", level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1 :]
    return level[0]


def path_root(node, index, leaves, path):
    """The root that a path leads to from a leaf's hash."""
    need(index < leaves, "the leaf is outside the tree")
    need(len(path) <= 64, "a path has more than 64 hashes")
    place, last = index, leaves - 1
    for sibling in path:
        need(len(sibling) == 32, "a hash of a path has not 32 bytes")
        need(last != 0, "a path is too long")
        if place % 2 == 1 or place == last:
            node = sha256(b"\x01", sibling, node)
            while place % 2 == 0 and place != 0:
                place, last = place // 2, last // 2
        else:
            node = sha256(b"\x01", node, sibling)
        place, last = place // 2, last // 2
    need(last == 0, "a path is too short")
    return node


# --- Keys and signatures --------------------------------------------------------------------------

ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FIELD = 2**255 - 19
CURVE_D = -121665 * pow(121666, -1, FIELD) % FIELD


def ed25519_point_is_good(encoded):
    """Whether the bytes are a point of the curve, canonical and not of small order."""
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    if y >= FIELD:
        return False
    # Small order: y is 1 (order 1), -1 (order 2), 0 (order 4), or doubling gives y = 0 (order 8).
    square = y * y % FIELD
    if y in (0, 1, FIELD - 1) or (CURVE_D * square * square + 2 * square - 1) % FIELD == 0:
        return False
    # On the curve: x^2 = (y^2 - 1) / (d y^2 + 1) has a root.
    x_square = (square - 1) * pow(CURVE_D * square + 1, -1, FIELD) % FIELD
    return pow(x_square, (FIELD - 1) // 2, FIELD) == 1


@functools.lru_cache(maxsize=4096)
def public_key(spki):
    """The public key of a SubjectPublicKeyInfo in one of the two encodings."""
    if spki.startswith(ED25519_PREFIX) and len(spki) == 44:
        need(ed25519_point_is_good(spki[12:]), "an Ed25519 key is not a good point")
        return ed25519.Ed25519PublicKey.from_public_bytes(spki[12:])
    need(spki.startswith(P256_PREFIX) and len(spki) == 91, "a key has neither encoding")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), spki[26:])


@functools.lru_cache(maxsize=65536)
def signature_holds(spki, message, signature):
    """Whether a signature of 64 bytes is by a key over a message."""
    key = public_key(spki)
    if len(signature) != 64:
        return False
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
            return True
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if not (0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2):
            return False
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        return True
    except InvalidSignature:
        return False


def preimage(label, chain_id, payload):
    """What is signed."""
    return b"counterfoil\x00" + label + b"\x00" + chain_id + struct.pack(">Q", len(payload)) + payload


# --- Headers and registry -------------------------------------------------------------------------


Header = namedtuple(
    "Header",
    "version flags chain_id incarnation epoch rule_version height previous raft_term raft_index proposer"
    " proposal_hash block_time leaf_count account_count registry_count tx_root history_root accounts_root"
    " registry_root",
)
HEADER = struct.Struct(">HH32sIQIQ32sQQQ32sQIII32s32s32s32s")
REGISTRY_LEAF = struct.Struct(">B32sQQ32s")
BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{5}")
KIND_KEY, KIND_NODE, KIND_POLICY, VOTER, LEARNER = 3, 4, 6, 0, 1
PURPOSE_INSTRUCTION, PURPOSE_ATTESTATION = 1, 2


def read_header(data, chain_id):
    need(len(data) == HEADER.size, "a header has not 296 bytes")
    header = Header(*HEADER.unpack(data))
    need(header.version == 1, "a header has another version than 1")
    need(header.flags in (0, 1), "a header has an unknown flag")
    need(header.flags == 1 or header.accounts_root == bytes(32), "accounts_root without its flag")
    need(header.chain_id == chain_id, "a header is of another chain")
    return header


def belongs(header_bytes, header, certified_bytes, certified, path):
    """Refuses a header that is not in the history of the certified one."""
    if header_bytes == certified_bytes:
        need(not path, "the certified header itself needs no history_path")
        return
    need(header.height < certified.height, "the header is not before the certified one")
    root = path_root(leaf_hash(sha256(header_bytes)), header.height, certified.height, path)
    need(root == certified.history_root, "the header is not in the certified history")


# --- Who signs ------------------------------------------------------------------------------------


class Epoch:
    """The signers of one epoch: they sign above the change before, up to the one that ends it."""

    def __init__(self, signers, policy):
        self.signers = signers
        self.begin = -1
        self.end = None
        count = len(signers)
        least = 2 * count // 3 + 1
        self.quorum = (policy.finality_quorum if policy else 0) or least
        lawful = least <= self.quorum <= max(count, least) or (self.quorum == 2 and count == 3)
        need(lawful, "finality_quorum is out of range")


class Chain:
    """What receipts are read against."""

    def __init__(self, genesis_bytes, epochs_bytes=None):
        self.id = sha256(genesis_bytes)
        self.epochs = [read_genesis(genesis_bytes)]
        if epochs_bytes is not None:
            need(len(epochs_bytes) <= EPOCHS_MAX, "an epoch chain has more than 64 MiB")
            for number, change in enumerate(decode("EpochChain", epochs_bytes).changes):
                self.add_epoch(number, change)

    def check_signatures(self, epoch, signatures, label, payload):
        message = preimage(label, self.id, payload)
        before = None
        for signature in signatures:
            need(before is None or signature.node > before, "node ids do not ascend")
            before = signature.node
            need(signature.node in epoch.signers, "a node is no signer of the epoch")
            spki = epoch.signers[signature.node]
            need(signature_holds(spki, message, signature.value), "a node's signature does not hold")
        need(len(signatures) >= epoch.quorum, "there are fewer signatures than a quorum")

    def certified(self, certificate):
        """The header of a certificate that holds by the signers of its own epoch."""
        header = read_header(certificate.header, self.id)
        need(header.epoch < len(self.epochs), "the epoch is not known")
        epoch = self.epochs[header.epoch]
        need(header.height > epoch.begin, "the epoch had not begun at this height")
        need(epoch.end is None or header.height <= epoch.end, "the epoch ended before this height")
        self.check_signatures(epoch, certificate.signatures, b"header/1", sha256(certificate.header))
        return header

    def add_epoch(self, number, change):
        need(change.before is not None and change.after is not None, "a certificate is missing")
        need(change.before.header == change.after.header, "before and after have different headers")
        header = self.certified(change.before)
        need(header.epoch == number, "a change of another epoch")
        epoch = read_registry(header, change.records)
        self.check_signatures(epoch, change.after.signatures, b"header/1", sha256(change.after.header))
        self.epochs[number].end = epoch.begin = header.height
        self.epochs.append(epoch)


def key_of(record, institution, purpose, key_id):
    """The public key in a key's record, which is that institution's for that purpose under that id."""
    bic, key = record[:11], decode("Key", record[11:])
    need(bic == institution.encode(), "a key is of another institution")
    need(key.purpose == purpose, "a key is for another purpose")
    need(sha256(key.public_key) == key_id, "a key is not the one that is named")
    public_key(key.public_key)
    return key.public_key


def read_registry(header, records):
    """The signers after a header, from all the records of its registry."""
    leaves = [record.leaf for record in records]
    need(len(leaves) == header.registry_count, "not as many records as the header counts")
    need(all(len(leaf) == REGISTRY_LEAF.size for leaf in leaves), "a registry leaf has not 81 bytes")
    need(ascends(leaves), "registry leaves do not ascend")
    need(tree_root(leaves) == header.registry_root, "the records are not those of registry_root")
    counting = {KIND_KEY: [], KIND_NODE: [], KIND_POLICY: []}
    for entry in records:
        kind, identity, active, inactive, digest = REGISTRY_LEAF.unpack(entry.leaf)
        given = sha256(entry.record) == digest
        need(given or not entry.record, "a record is not that of its leaf")
        if active <= header.height + 1 < inactive and kind in counting:
            counting[kind].append((identity, entry.record if given else None))
    signers, institutions = {}, set()
    for identity, record in counting[KIND_NODE]:
        need(record is not None, "a node's record is not given")
        node = decode("Node", record)
        need(identity == struct.pack(">Q24x", node.id), "a node's record has another id than its leaf")
        if node.role == LEARNER:
            continue
        need(node.role == VOTER and BIC.fullmatch(node.institution), "a node is no voter, or of no institution")
        need(node.institution not in institutions, "an institution has two voters")
        need(node.id not in signers, "two voters have one id")
        institutions.add(node.institution)
        found = [record for identity, record in counting[KIND_KEY] if identity == node.attestation_key_id]
        need(len(found) == 1 and found[0] is not None, "a node's key does not count, or is not given")
        signers[node.id] = key_of(found[0], node.institution, PURPOSE_ATTESTATION, node.attestation_key_id)
    policies = [record for _, record in counting[KIND_POLICY]]
    need(len(policies) <= 1 and None not in policies, "there are two policies, or one is not given")
    return Epoch(signers, decode("Policy", policies[0]) if policies else None)


LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
DNS_NAME = re.compile(rf"{LABEL}(\.{LABEL})*")
REFERENCE = re.compile(r"(?! )[A-Za-z0-9/?:().,'+ -]{0,35}(?<! )")
ADDRESS = re.compile(r".+:([0-9]+)", re.DOTALL)


def read_genesis(data):
    """The first signers, from a genesis file that keeps every rule."""
    genesis = decode("Genesis", data)
    need(genesis.format == 1 and genesis.rule_version == 1, "format and rule_version are not 1")
    need(len(genesis.consortium) <= 63 and DNS_NAME.fullmatch(genesis.consortium), "consortium is no DNS name")
    need(0 < genesis.created_ms <= 253402300799999, "created_ms is out of range")
    for members in (genesis.institutions, genesis.nodes, genesis.assets):
        need(1 <= len(members) <= 1000, "there are not 1 to 1,000 institutions, nodes and assets")
    need(ascends([i.bic for i in genesis.institutions]), "institutions do not ascend")
    need(ascends([0] + [n.id for n in genesis.nodes]), "nodes do not ascend")
    need(ascends([a.code for a in genesis.assets]), "assets do not ascend")

    keys = {}
    for institution in genesis.institutions:
        need(BIC.fullmatch(institution.bic), "an institution has no BIC")
        need(1 <= len(institution.name.encode()) <= 140, "an institution's name is not of 1 to 140 bytes")
        need(1 <= len(institution.trust_anchor) <= 4096, "a trust anchor is not of 1 to 4,096 bytes")
        need(institution.audit_scope in (1, 2), "an audit scope is not given")
        need(1 <= len(institution.keys) <= 1000, "an institution has not 1 to 1,000 keys")
        ids = [sha256(key.public_key) for key in institution.keys]
        need(ascends(ids), "keys do not ascend")
        for key_id, key in zip(ids, institution.keys):
            need(key_id not in keys, "a key belongs to two institutions")
            need(key.purpose in (PURPOSE_INSTRUCTION, PURPOSE_ATTESTATION), "a key's purpose is not given")
            need(REFERENCE.fullmatch(key.name), "a key's name has another form")
            public_key(key.public_key)
            keys[key_id] = (institution.bic, key)

    for node in genesis.nodes:
        owner, key = keys.get(node.attestation_key_id, (None, None))
        need(owner == node.institution, "a node's key is not one of its institution")
        need(key.purpose == PURPOSE_ATTESTATION, "a node's key is not for attestation")
        need(re.fullmatch(r"[a-z0-9-]{1,32}", node.name) and node.role in (VOTER, LEARNER), "a node's name or role")
        for address in (node.peer_address, node.client_address):
            match = len(address.encode()) <= 255 and ADDRESS.fullmatch(address)
            need(match and int(match[1]) <= 65535, "an address is not host:port")
    voters = [n for n in genesis.nodes if n.role == VOTER]
    names, attesting = [(n.institution, n.name) for n in genesis.nodes], [n.attestation_key_id for n in genesis.nodes]
    for each in ([n.institution for n in voters], names, attesting):
        need(each and len(set(each)) == len(each), "two nodes share what one has, or none votes")
    for asset in genesis.assets:
        need(re.fullmatch(r"[A-Z0-9-]{1,12}", asset.code), "an asset's code has another form")
        need(asset.exponent <= 9, "an asset's exponent is not 0 to 9")

    return Epoch({n.id: keys[n.attestation_key_id][1].public_key for n in voters}, genesis.policy)


# --- The receipt ----------------------------------------------------------------------------------


REASONS = {*range(101, 139), *range(150, 156), *range(201, 208), *range(301, 307), *range(401, 408), *range(501, 503), 601,
           *range(801, 809), *range(810, 813), *range(820, 834)}
ITEMS_MAX = 8192
RECEIPT_MAX, EPOCHS_MAX = 8 << 20, 64 << 20


def read_instruction(data):
    instruction = decode("Instruction", data)
    identity = instruction.id
    need(len(identity) == 16 and identity[6] >> 4 == 7 and identity[8] >> 6 == 2, "the id is no UUIDv7")
    need(BIC.fullmatch(instruction.institution), "the instruction names no institution")
    bodies = [field.name for field in MESSAGES["Instruction"].values() if field.in_body]
    need(any(getattr(instruction, body) is not None for body in bodies), "the instruction has no body")
    return instruction


def check_outcome(outcome):
    need(len(outcome) == 16, "an outcome has not 16 bytes")
    version, state, reason, event, postings, first = struct.unpack(">BBHHHQ", outcome)
    need(version == 1, "an outcome has another version than 1")
    need(1 <= state <= 4, "an outcome has an unknown state")
    need(reason == 0 or reason in REASONS, "an outcome has an unknown reason")
    need((reason != 0) == (state == 2), "an outcome has a reason and is not rejected, or the reverse")
    need(event <= 12, "an outcome has an unknown event")
    need((postings != 0) == (first != 0), "an outcome has postings without a number, or the reverse")


def check_signer(receipt, instruction, header, chain):
    """Refuses an instruction that is not signed by a key of its institution's that counted then."""
    need(len(receipt.signatures) == 1 and len(receipt.keys) == 1, "not one signature and one key")
    signature, proof = receipt.signatures[0], receipt.keys[0]
    spki = key_of(proof.record, instruction.institution, PURPOSE_INSTRUCTION, signature.key_id)
    need(proof.active_from <= header.height < proof.inactive_from, "the key did not count")
    leaf = REGISTRY_LEAF.pack(KIND_KEY, signature.key_id, proof.active_from, proof.inactive_from, sha256(proof.record))
    root = path_root(leaf_hash(leaf), proof.index, header.registry_count, proof.path)
    need(root == header.registry_root, "the key is not in the registry")
    message = preimage(b"instruction/1", chain.id, receipt.instruction)
    need(signature_holds(spki, message, signature.value), "the signature does not hold")


def check_leaf(receipt, instruction, header):
    """Refuses an outcome that is not that of this instruction or item in the header's block."""
    item_hash = bytes(32)
    if receipt.item_number == 0:
        need(not receipt.item and not receipt.item_path, "an item without a number")
    else:
        batch = instruction.transfers or instruction.book_entries
        need(batch is not None, "an item of no batch")
        need(receipt.item_number <= batch.count <= ITEMS_MAX, "the batch has no such item")
        decode("Transfer" if instruction.transfers else "BookEntry", receipt.item)
        item_hash = leaf_hash(receipt.item)
        root = path_root(item_hash, receipt.item_number - 1, batch.count, receipt.item_path)
        need(root == batch.items_root, "the item is not in the batch")
    check_outcome(receipt.outcome)
    effects_hash = sha256(receipt.effects) if receipt.effects else bytes(32)
    if receipt.effects_hash:
        effects_hash = receipt.effects_hash
        need(not receipt.effects, "effects, and their hash beside them")
        need(len(effects_hash) == 32 and any(effects_hash), "the hash of effects is not one")
    number = struct.pack(">I", receipt.item_number)
    leaf = sha256(receipt.instruction) + number + item_hash + receipt.outcome + effects_hash
    root = path_root(leaf_hash(leaf), receipt.leaf_index, header.leaf_count, receipt.leaf_path)
    need(root == header.tx_root, "the outcome is not in the block")


def check_receipt(data, chain):
    """The line for a receipt that proves something; Refused otherwise."""
    need(len(data) <= RECEIPT_MAX, "a receipt has more than 8 MiB")
    receipt = decode("Receipt", data)
    instruction = read_instruction(receipt.instruction)
    header = read_header(receipt.header, chain.id)
    check_signer(receipt, instruction, header, chain)
    check_leaf(receipt, instruction, header)
    outcome = receipt.outcome.hex()
    if receipt.certificate is None:
        need(not receipt.history_path, "a history_path without a certificate")
        return f"ordered {header.height} {receipt.item_number} {outcome}"
    certified = chain.certified(receipt.certificate)
    belongs(receipt.header, header, receipt.certificate.header, certified, receipt.history_path)
    return f"final {header.height} {certified.height} {receipt.item_number} {outcome}"


# --- The command ----------------------------------------------------------------------------------


def read(path):
    with open(path, "rb") as file:
        return file.read()


def framed(data):
    """The receipts of a file that has the length of each before it."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        need(length <= len(data) - at - 4, "the last receipt is cut off")
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genesis", required=True, help="the consortium's genesis file")
    parser.add_argument("--epochs", help="its epoch chain, if who signs has changed")
    parser.add_argument("--framed", action="store_true", help="FILE has many receipts, each after its length u32")
    parser.add_argument("file", metavar="FILE", help="the receipt, or the receipts")
    arguments = parser.parse_args()
    try:
        chain = Chain(read(arguments.genesis), read(arguments.epochs) if arguments.epochs else None)
        data = read(arguments.file)
        receipts = list(framed(data)) if arguments.framed else [data]
    except Exception as error:  # Whatever goes wrong, there is nothing to check against.
        print(f"receipt.py: {error}", file=sys.stderr)
        return 2
    line = "refused"
    for receipt in receipts:
        try:
            line = check_receipt(receipt, chain)
        except Exception as error:  # Whatever goes wrong while it is read, it proves nothing.
            line = "refused"
            if not arguments.framed:
                print(f"receipt.py: {error}", file=sys.stderr)
        print(line)
    return 0 if arguments.framed or line.startswith("final") else 1


if __name__ == "__main__":
    sys.exit(main())
