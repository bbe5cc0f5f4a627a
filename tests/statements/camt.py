#!/usr/bin/env python3
"""Reads statements of ledger accounts, knowing nothing of what wrote them.

Written from the published schemas of camt.053.001.08, camt.052.001.08 and camt.054.001.08: the parts
of them that a statement of a ledger account uses are in SCHEMA below. It needs Python alone.

    camt.py FILE...

Each file is checked, first against the schema (elements, their order and number, what they hold),
then against itself: opening balance and entries come to the closing balance, counts and sums are
those of the entries. One line of JSON tells what each file says.

Exit code: 0 all hold, 1 one does not (the line says why), 2 the arguments are wrong.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from decimal import Decimal

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"

# An element: name, how often ("1", "?" or "*"), and what it holds: another rule, a pattern, or "amount".
TEXT_35, TEXT_70, TEXT_500 = r".{1,35}", r".{1,70}", r"(?s:.{1,500})"
BIC = r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?"
DATE = r"\d{4}-\d\d-\d\d"
DATE_TIME = DATE + r"T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
UETR = r"[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}"
SIDE, NUMBER, COUNT, CODE = r"CRDT|DBIT", r"\d{1,18}", r"\d{1,15}", r".{1,4}"

SCHEMA = {
    "Group": [("MsgId", "1", TEXT_35), ("CreDtTm", "1", DATE_TIME)],
    "Period": [("FrDtTm", "1", DATE_TIME), ("ToDtTm", "1", DATE_TIME)],
    "Account": [
        ("Id", "1", "AccountId"), ("Ccy", "?", r"[A-Z]{3}"), ("Nm", "?", TEXT_70),
        ("Ownr", "?", "Party"), ("Svcr", "?", "Agent"),
    ],
    "AccountId": [("Othr", "1", "Other")],
    "Other": [("Id", "1", r".{1,34}")],
    "Party": [("Id", "?", "PartyId")],
    "PartyId": [("OrgId", "1", "Organisation")],
    "Organisation": [("AnyBIC", "?", BIC)],
    "Agent": [("FinInstnId", "1", "Institution")],
    "Institution": [("BICFI", "?", BIC)],
    "Balance": [
        ("Tp", "1", "BalanceType"), ("Amt", "1", "amount"), ("CdtDbtInd", "1", SIDE),
        ("Dt", "1", "Day"),
    ],
    "BalanceType": [("CdOrPrtry", "1", "Code")],
    "Code": [("Cd", "1", CODE)],
    "Day": [("Dt", "1", DATE)],
    "Totals": [("TtlNtries", "?", "All"), ("TtlCdtNtries", "?", "Sum"), ("TtlDbtNtries", "?", "Sum")],
    "All": [("NbOfNtries", "?", COUNT), ("Sum", "?", "decimal"), ("TtlNetNtry", "?", "Net")],
    "Net": [("Amt", "1", "decimal"), ("CdtDbtInd", "1", SIDE)],
    "Sum": [("NbOfNtries", "?", COUNT), ("Sum", "?", "decimal")],
    "Entry": [
        ("NtryRef", "?", TEXT_35), ("Amt", "1", "amount"), ("CdtDbtInd", "1", SIDE),
        ("Sts", "1", "Code"), ("BookgDt", "?", "Day"), ("ValDt", "?", "Day"),
        ("AcctSvcrRef", "?", TEXT_35), ("BkTxCd", "1", "TransactionCode"), ("NtryDtls", "*", "Details"),
    ],
    "TransactionCode": [("Domn", "?", "Domain")],
    "Domain": [("Cd", "1", CODE), ("Fmly", "1", "Family")],
    "Family": [("Cd", "1", CODE), ("SubFmlyCd", "1", CODE)],
    "Details": [("TxDtls", "*", "Transaction")],
    "Transaction": [
        ("Refs", "?", "References"), ("RltdPties", "?", "Parties"), ("RltdAgts", "?", "Agents"),
        ("RltdDts", "?", "Dates"),
    ],
    "References": [("EndToEndId", "?", TEXT_35), ("UETR", "?", UETR)],
    "Parties": [("DbtrAcct", "?", "Account"), ("CdtrAcct", "?", "Account")],
    "Agents": [("DbtrAgt", "?", "Agent"), ("CdtrAgt", "?", "Agent")],
    "Dates": [("TxDtTm", "?", DATE_TIME)],
}


def statement(balances, note):
    """The rule of a statement, a report or a notification; they differ in two places."""
    return [
        ("Id", "1", TEXT_35), ("ElctrncSeqNb", "?", NUMBER), ("CreDtTm", "?", DATE_TIME),
        ("FrToDt", "?", "Period"), ("Acct", "1", "Account"), ("Bal", balances, "Balance"),
        ("TxsSummry", "?", "Totals"), ("Ntry", "*", "Entry"), (note, "?", TEXT_500),
    ]


# By message: the element below Document, the one below that, and its rule.
MESSAGES = {
    "camt.053.001.08": ("BkToCstmrStmt", "Stmt", statement("+", "AddtlStmtInf")),
    "camt.052.001.08": ("BkToCstmrAcctRpt", "Rpt", statement("*", "AddtlRptInf")),
    "camt.054.001.08": ("BkToCstmrDbtCdtNtfctn", "Ntfctn", statement("0", "AddtlNtfctnInf")),
}

LIMITS = {"1": (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None), "0": (0, 0)}


class Wrong(Exception):
    """What a file says cannot be, for the reason given."""


def need(condition, reason):
    """Refuses unless the condition holds."""
    if not condition:
        raise Wrong(reason)


def digits(text, whole, fraction):
    """Whether a text is a decimal of at most so many digits, and so many behind the point."""
    found = re.fullmatch(r"(\d+)(?:\.(\d+))?", text)
    behind = found.group(2) or "" if found else ""
    return bool(found) and len(found.group(1)) + len(behind) <= whole and len(behind) <= fraction


class Reader:
    """A message, of one namespace."""

    def __init__(self, root):
        prefix = "{" + NAMESPACE
        need(root.tag.startswith(prefix), "the root is no ISO 20022 message")
        self.message, name = root.tag[len(prefix):].split("}")
        need(name == "Document" and self.message in MESSAGES, f"unknown message {root.tag}")
        self.space = prefix + self.message + "}"

    def name(self, element):
        need(element.tag.startswith(self.space), f"{element.tag} is of another namespace")
        return element.tag[len(self.space):]

    def find(self, element, path):
        return element.find("/".join(self.space + step for step in path.split("/")))

    def text(self, element, path):
        found = self.find(element, path)
        return None if found is None else found.text

    def follows(self, element, rule, place):
        """Checks what an element holds."""
        if isinstance(rule, str) and rule in SCHEMA:
            rule = SCHEMA[rule]
        if isinstance(rule, str):
            return self.leaf(element, rule, place)
        need(not (element.text or "").strip(), f"{place} holds text")
        children = list(element)
        for name, often, inner in rule:
            least, most = LIMITS[often]
            count = 0
            while children and self.name(children[0]) == name:
                child = children.pop(0)
                count += 1
                need(not (child.tail or "").strip(), f"{place} holds text")
                self.follows(child, inner, f"{place}/{name}")
            need(count >= least and (most is None or count <= most), f"{count} {place}/{name}")
        need(not children, f"{place}: what is {self.name(children[0]) if children else ''} doing here?")

    def leaf(self, element, rule, place):
        text = element.text or ""
        need(len(element) == 0, f"{place} holds elements")
        if rule == "amount":
            need(digits(text, 18, 5), f"{place} is {text}")
            need(re.fullmatch(r"[A-Z]{3}", element.get("Ccy", "")), f"{place} has no currency")
            need(len(element.attrib) == 1, f"{place} has other attributes")
            return
        need(not element.attrib, f"{place} has attributes")
        if rule == "decimal":
            need(digits(text, 18, 17), f"{place} is {text}")
        else:
            need(re.fullmatch(rule, text), f"{place} is {text!r}")

    def signed(self, element):
        amount = Decimal(self.text(element, "Amt"))
        return -amount if self.text(element, "CdtDbtInd") == "DBIT" else amount


def entry(reader, element, currency):
    need(reader.find(element, "Amt").get("Ccy") == currency, "an entry in another currency")
    need(reader.text(element, "Sts/Cd") == "BOOK", "an entry that is not booked")
    credit = reader.text(element, "CdtDbtInd") == "CRDT"
    details = "NtryDtls/TxDtls/"
    agent = "DbtrAgt" if credit else "CdtrAgt"
    family = reader.text(element, "BkTxCd/Domn/Fmly/Cd")
    need(family == ("RCDT" if credit else "ICDT"), f"{family} on the other side")
    return {
        "reference": reader.text(element, "AcctSvcrRef"),
        "amount": str(reader.signed(element)),
        "date": reader.text(element, "ValDt/Dt"),
        "uetr": reader.text(element, details + "Refs/UETR"),
        "endToEndId": reader.text(element, details + "Refs/EndToEndId"),
        "counterparty": reader.text(element, details + f"RltdAgts/{agent}/FinInstnId/BICFI"),
    }


def adds_up(reader, element, entries):
    """Compares what the statement says of its entries with them."""
    amounts = [Decimal(entry["amount"]) for entry in entries]
    credits = [amount for amount in amounts if amount > 0]
    debits = [-amount for amount in amounts if amount < 0]
    for name, of in (("TtlNtries", credits + debits), ("TtlCdtNtries", credits), ("TtlDbtNtries", debits)):
        total = reader.find(element, f"TxsSummry/{name}")
        need(int(reader.text(total, "NbOfNtries")) == len(of), f"{name}: another count")
        need(Decimal(reader.text(total, "Sum")) == sum(of), f"{name}: another sum")
    net = reader.find(element, "TxsSummry/TtlNtries/TtlNetNtry")
    need(reader.signed(net) == sum(amounts), "TtlNetNtry: another sum")
    balances = {}
    for balance in element.findall(reader.space + "Bal"):
        code = reader.text(balance, "Tp/CdOrPrtry/Cd")
        need(code not in balances, f"{code} twice")
        balances[code] = reader.signed(balance)
    if balances:
        closing = "CLBD" if "CLBD" in balances else "ITBD"
        need(balances.keys() == {"OPBD", closing}, f"balances {sorted(balances)}")
        need(balances["OPBD"] + sum(amounts) == balances[closing], "the balances do not add up")
    return {code: str(balance) for code, balance in balances.items()}


def read(path):
    """What a file says."""
    root = ElementTree.parse(path).getroot()
    reader = Reader(root)
    outer, inner, rule = MESSAGES[reader.message]
    reader.follows(root, [(outer, "1", [("GrpHdr", "1", "Group"), (inner, "1", rule)])], "Document")
    element = reader.find(root, f"{outer}/{inner}")
    account = reader.find(element, "Acct")
    currency = reader.text(account, "Ccy")
    for balance in element.findall(reader.space + "Bal"):
        need(reader.find(balance, "Amt").get("Ccy") == currency, "a balance in another currency")
    entries = [entry(reader, one, currency) for one in element.findall(reader.space + "Ntry")]
    return {
        "message": reader.message,
        "id": reader.text(element, "Id"),
        "sequence": reader.text(element, "ElctrncSeqNb"),
        "account": reader.text(account, "Id/Othr/Id"),
        "servicer": reader.text(account, "Svcr/FinInstnId/BICFI"),
        "owner": reader.text(account, "Ownr/Id/OrgId/AnyBIC"),
        "balances": adds_up(reader, element, entries),
        "entries": entries,
    }


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    code = 0
    for path in paths:
        try:
            print(json.dumps(read(path)))
        except (Wrong, ElementTree.ParseError, OSError) as error:
            print(json.dumps({"wrong": str(error)}))
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
