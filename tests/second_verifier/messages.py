"""Protobuf messages that are signed, in their canonical encoding alone: the part of receipt.py that reads
them. Written from docs/reference/format.md and the .proto files.
"""

import re
from collections import namedtuple


class Refused(Exception):
    """What was read proves nothing, for the reason given."""


def need(condition, reason):
    """Refuses unless the condition holds."""
    if not condition:
        raise Refused(reason)


# The fields of each message: number, name, type. A type is a scalar or another message; `*` marks a
# repeated field and `|` a member of the oneof `body`, of which at most one is there.
SCHEMA = """
Receipt       1 instruction bytes, 2 signatures Signature*, 3 item bytes, 4 item_number uint32,
              5 item_path bytes*, 6 outcome bytes, 7 effects bytes, 8 leaf_index uint32,
              9 leaf_path bytes*, 10 header bytes, 11 history_path bytes*, 12 certificate Certificate,
              13 keys KeyProof*, 14 effects_hash bytes
Signature     1 key_id bytes, 2 value bytes
KeyProof      1 record bytes, 2 active_from uint64, 3 inactive_from uint64, 4 index uint32, 5 path bytes*
Certificate   1 header bytes, 2 signatures NodeSignature*
NodeSignature 1 node uint64, 2 value bytes
EpochChain    1 changes EpochChange*
EpochChange   1 before Certificate, 2 after Certificate, 3 records RegistryRecord*
RegistryRecord 1 leaf bytes, 2 record bytes
Instruction   1 id bytes, 2 institution string, 3 valid_until_ms uint64, 4 anchor_height uint64, 5 anchor bytes,
              16 open_account OpenAccount|, 17 transfer Transfer|, 18 transfers Batch|,
              19 book_entries Batch|, 22 statement Statement|, 23 propose_agreement ProposeAgreement|,
              24 answer_agreement AnswerAgreement|, 25 run_matching RunMatching|, 26 decide_match DecideMatch|,
              27 work_break WorkBreak|, 28 sign_position SignPosition|
OpenAccount   1 servicer string, 2 owner string, 3 asset string, 4 name string
Transfer      1 debit_account bytes, 2 credit_account bytes, 3 amount uint64, 4 uetr bytes,
              5 end_to_end_id string, 6 settlement_date uint32, 7 commitment bytes, 8 salt bytes
BookEntry     1 account bytes, 2 side enum, 3 amount uint64, 4 booking_date uint32, 5 value_date uint32,
              6 entry_reference string, 7 uetr bytes, 8 end_to_end_id string, 9 commitment bytes, 10 salt bytes,
              11 transaction_id string, 12 instruction_id string, 13 group_id string, 14 counterparty string,
              15 reversal bool, 16 returned bool, 17 charges uint64, 18 exchanged bool, 19 asset string,
              20 expected bool, 21 purpose enum
Batch         1 count uint32, 2 items_root bytes, 3 all_or_nothing bool
Statement     1 account bytes, 2 statement_id string, 3 from_date uint32, 4 to_date uint32,
              5 opening_balance int64, 6 closing_balance int64, 7 salt bytes, 8 sequence uint64,
              9 original bytes
ProposeAgreement 1 terms AgreementTerms, 2 accept_until_ms uint64
AgreementTerms 1 servicer string, 2 owner string, 3 accounts AgreementAccount*, 4 ledger bool, 5 owner_book bool,
              6 servicer_book bool, 7 rule_set uint32, 8 effective_from uint32, 9 tolerances Tolerance*,
              10 value_date_window uint32, 11 missing_after_days uint32, 12 missing_at_minute uint32,
              13 duties Duty*, 14 calendar Calendar, 15 run_times RunTime*, 16 keep_originals bool,
              17 supersedes bytes, 18 salt bytes, 19 servicer_sealing_key bytes, 20 owner_sealing_key bytes
AgreementAccount 1 account bytes
Tolerance     1 asset string, 2 absolute uint64, 3 basis_points uint32, 4 exchange_rounding uint64
Duty          1 category enum, 2 answers enum, 3 answer_days uint32, 4 escalate_days uint32
Calendar      1 utc_offset_minutes sint32, 2 weekend uint32, 3 holidays Holiday*
Holiday       1 date uint32
RunTime       1 minute uint32
AnswerAgreement 1 agreement bytes, 2 answer enum, 3 salt bytes
RunMatching   1 account bytes, 2 salt bytes
ItemNumber    1 number uint64
DecideMatch   1 account bytes, 2 comparison enum, 3 first ItemNumber*, 4 second ItemNumber*, 5 decision enum,
              6 commitment bytes, 7 salt bytes
WorkBreak     1 account bytes, 2 number uint64, 3 salt bytes, 16 assign AssignBreak|, 17 say SayOfBreak|,
              18 propose ProposeResolution|, 19 agree AgreeResolution|, 20 decline DeclineResolution|,
              21 reopen ReopenBreak|
AssignBreak   1 owner enum
SayOfBreak    1 code string, 2 commitment bytes, 3 attachment bytes
ProposeResolution 1 kind enum, 2 amount uint64, 3 debit_account bytes, 4 credit_account bytes, 5 commitment bytes
AgreeResolution 1 offer ProposeResolution, 2 transfer Transfer
DeclineResolution 1 commitment bytes
ReopenBreak   1 commitment bytes
SignPosition  1 account bytes, 2 date uint32, 3 opening_balance int64, 4 credit_count uint64, 5 credits uint64,
              6 debit_count uint64, 7 debits uint64, 8 closing_balance int64, 9 digest bytes, 10 salt bytes
Genesis       1 format uint32, 2 consortium string, 3 created_ms uint64, 4 rule_version uint32,
              5 institutions Institution*, 6 nodes Node*, 7 assets Asset*, 8 policy Policy
Policy        1 finality_quorum uint32, 2 certificate_lag_blocks uint32, 3 certificate_lag_ms uint32,
              4 snapshot_interval_blocks uint32
Institution   1 bic string, 2 name string, 3 trust_anchor bytes, 4 keys Key*, 5 audit_scope enum
Key           1 public_key bytes, 2 purpose enum, 3 name string
Node          1 id uint64, 2 institution string, 3 name string, 4 attestation_key_id bytes,
              5 peer_address string, 6 client_address string, 7 role enum
Asset         1 code string, 2 exponent uint32
"""


Field = namedtuple("Field", "name kind repeated in_body")


def schema(text):
    """Of each message: field number -> Field."""
    messages = {}
    for name, fields in re.findall(r"^(\w+) +((?:.|\n +)+)", text, re.MULTILINE):
        messages[name] = {}
        for field in fields.split(","):
            number, label, kind = field.split()
            plain = kind.rstrip("*|")
            messages[name][int(number)] = Field(label, plain, kind.endswith("*"), kind.endswith("|"))
    return messages


MESSAGES = schema(SCHEMA)
DEFAULTS = {"bytes": b"", "string": "", "uint32": 0, "uint64": 0, "int64": 0, "sint32": 0, "enum": 0, "bool": False}
VARINTS = ("uint32", "uint64", "int64", "sint32", "enum", "bool")


class Message:
    """A decoded message: its fields are attributes, absent messages and bodies are None."""


def varint(data, at):
    """The varint at a place and the place behind it, in its shortest form."""
    value = 0
    for count in range(10):
        need(at < len(data), "a varint is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            need(byte != 0 or count == 0, "a varint is not in its shortest form")
            need(value < 1 << 64, "a varint has more than 64 bits")
            return value, at
    raise Refused("a varint is too long")


def integer(kind, value):
    """The value of a varint as its type has it."""
    if kind == "bool":
        need(value <= 1, "a bool is neither 0 nor 1")
        return value == 1
    if kind == "uint32":
        need(value < 1 << 32, "a uint32 has more than 32 bits")
        return value
    if kind == "uint64":
        return value
    if kind == "sint32":
        need(value < 1 << 32, "a sint32 has more than 32 bits")
        return (value >> 1) ^ -(value & 1)
    signed = value - (1 << 64) if value >> 63 else value
    if kind == "enum":
        need(-(1 << 31) <= signed < 1 << 31, "an enum has more than 32 bits")
    return signed


def decode(name, data):
    """Decodes a message: fields ascending, none unknown, none twice, no default value written."""
    fields = MESSAGES[name]
    message = Message()
    for field in fields.values():
        setattr(message, field.name, [] if field.repeated else DEFAULTS.get(field.kind))
    at, before, has_body = 0, 0, False
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        need(number in fields, f"{name} has no field {number}")
        field = fields[number]
        what = f"{name}.{field.name}"
        need(number > before or (number == before and field.repeated), f"{what} is out of place")
        before = number
        value, at = varint(data, at)
        if field.kind in VARINTS:
            need(wire == 0, f"{what} is not a varint")
            value = integer(field.kind, value)
        else:
            need(wire == 2, f"{what} has no length")
            need(value <= len(data) - at, f"{what} is cut off")
            value, at = data[at : at + value], at + value
            if field.kind == "string":
                value = value.decode("utf-8")
            elif field.kind != "bytes":
                value = decode(field.kind, value)
        if field.repeated:
            getattr(message, field.name).append(value)
            continue
        need(field.kind not in DEFAULTS or value != DEFAULTS[field.kind], f"{what} is a default value, written")
        need(not (field.in_body and has_body), f"{name} has two bodies")
        has_body = has_body or field.in_body
        setattr(message, field.name, value)
    return message
