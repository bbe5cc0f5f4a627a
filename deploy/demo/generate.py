#!/usr/bin/env python3
"""Writes the demo's business day: payments, books, and the breaks that are to be found in them.

Everything is derived from SEED by SHA-256, so that the same files come out on every machine:

    generate.py            writes the files beside this script
    generate.py --check    exits with 1 if the files there differ from what it would write

Institutions, persons, accounts and amounts are made up; no bank has these BICs.
"""

import argparse
import hashlib
import pathlib
import sys
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

SEED = "counterfoil demo, first business day"
AGENT = "SETLCHZZXXX"
BANKS = {
    "ALPSCHZZXXX": "Alpsteinbank",
    "BRNECHZZXXX": "Bernina Bank",
    "CANTCHZZXXX": "Cantonal Trust",
}
CURRENCIES = ["CHF", "EUR"]
ACCOUNT_NAME = "SETTLEMENT"
DAY = "2026-03-31"
NEXT_DAY = "2026-04-01"
FUNDING = 100_000_000_00
HALVES = {"morning": "08:05:00", "afternoon": "14:20:00"}
# First is the ledger, second the bank's book.
CATEGORIES = ["missing-first", "missing-second", "amount", "direction", "value-date", "duplicate"]
PERSONS = [
    "Anna Aebi", "Beat Brunner", "Carla Caduff", "Dario Derungs", "Eva Egli", "Fritz Furrer",
    "Gian Gadient", "Hanna Huber", "Ivo Iten", "Julia Jost", "Klara Kunz", "Luca Lardelli",
]


@dataclass(frozen=True)
class Payment:
    number: int
    debtor: str
    creditor: str
    currency: str
    cents: int
    uetr: str
    end_to_end_id: str


@dataclass(frozen=True)
class Entry:
    """An entry of a bank's book, as the account sees it."""

    side: str
    cents: int
    value_date: str
    uetr: str
    end_to_end_id: str


def digest(label):
    return hashlib.sha256(f"{SEED}/{label}".encode()).digest()


def draw(label, bound):
    """A number from 0 to bound - 1."""
    return int.from_bytes(digest(label)[:8], "big") % bound


def uetr_of(label):
    return str(uuid.UUID(bytes=digest(f"uetr/{label}")[:16], version=4))


def short(bic):
    return bic[:4]


def decimal(cents):
    return f"{cents // 100}.{cents % 100:02d}"


# The payments, and the files in which each bank submits its own.


def make_payments():
    """Payments by (half, bank, file name without its ending)."""
    files = {}
    numbers = dict.fromkeys(BANKS, 0)
    for half in HALVES:
        for bank in BANKS:
            for currency in CURRENCIES:
                name = f"pacs009-{currency.lower()}"
                files[half, bank, name] = many(numbers, bank, 8, [currency], 400_000_00)
            files[half, bank, "pacs008"] = many(numbers, bank, 12, CURRENCIES, 25_000_00)
            files[half, bank, "payments"] = many(numbers, bank, 12, CURRENCIES, 90_000_00)
    return files


def many(numbers, debtor, count, currencies, cents_max):
    payments = []
    for _ in range(count):
        numbers[debtor] += 1
        end_to_end_id = f"{short(debtor)}-{numbers[debtor]:05d}"
        others = [bank for bank in BANKS if bank != debtor]
        payments.append(Payment(
            number=numbers[debtor],
            debtor=debtor,
            creditor=others[draw(f"creditor/{end_to_end_id}", 2)],
            currency=currencies[draw(f"currency/{end_to_end_id}", len(currencies))],
            cents=100 + draw(f"amount/{end_to_end_id}", cents_max),
            uetr=uetr_of(end_to_end_id),
            end_to_end_id=end_to_end_id,
        ))
    return payments


def pacs009(half, bank, name, payments):
    total = sum(payment.cents for payment in payments)
    currency = payments[0].currency
    header = group_header(half, bank, name, payments, [
        f'<TtlIntrBkSttlmAmt Ccy="{currency}">{decimal(total)}</TtlIntrBkSttlmAmt>',
        f"<IntrBkSttlmDt>{DAY}</IntrBkSttlmDt>",
    ])
    transactions = [pacs009_transaction(payment) for payment in payments]
    return document("pacs.009.001.08", "FICdtTrf", header, transactions)


def pacs009_transaction(payment):
    return [
        "<CdtTrfTxInf>",
        *payment_ids(payment),
        f'  <IntrBkSttlmAmt Ccy="{payment.currency}">{decimal(payment.cents)}</IntrBkSttlmAmt>',
        f"  <Dbtr><FinInstnId><BICFI>{payment.debtor}</BICFI></FinInstnId></Dbtr>",
        f"  <Cdtr><FinInstnId><BICFI>{payment.creditor}</BICFI></FinInstnId></Cdtr>",
        "</CdtTrfTxInf>",
    ]


def pacs008(half, bank, name, payments):
    header = group_header(half, bank, name, payments, [])
    transactions = [pacs008_transaction(payment) for payment in payments]
    return document("pacs.008.001.08", "FIToFICstmrCdtTrf", header, transactions)


def pacs008_transaction(payment):
    label = payment.end_to_end_id
    debtor, creditor = (PERSONS[draw(f"{role}/{label}", len(PERSONS))] for role in ("from", "to"))
    invoice = 1000 + draw(f"invoice/{label}", 9000)
    return [
        "<CdtTrfTxInf>",
        *payment_ids(payment),
        f'  <IntrBkSttlmAmt Ccy="{payment.currency}">{decimal(payment.cents)}</IntrBkSttlmAmt>',
        f"  <IntrBkSttlmDt>{DAY}</IntrBkSttlmDt>",
        "  <ChrgBr>SHAR</ChrgBr>",
        f"  <Dbtr><Nm>{escape(debtor)}</Nm></Dbtr>",
        f"  <DbtrAcct><Id><IBAN>{iban(f'from/{label}')}</IBAN></Id></DbtrAcct>",
        f"  <DbtrAgt><FinInstnId><BICFI>{payment.debtor}</BICFI></FinInstnId></DbtrAgt>",
        f"  <CdtrAgt><FinInstnId><BICFI>{payment.creditor}</BICFI></FinInstnId></CdtrAgt>",
        f"  <Cdtr><Nm>{escape(creditor)}</Nm></Cdtr>",
        f"  <CdtrAcct><Id><IBAN>{iban(f'to/{label}')}</IBAN></Id></CdtrAcct>",
        f"  <RmtInf><Ustrd>Invoice {invoice}</Ustrd></RmtInf>",
        "</CdtTrfTxInf>",
    ]


def payment_ids(payment):
    return [
        "  <PmtId>",
        f"    <InstrId>{short(payment.debtor)}I{payment.number:05d}</InstrId>",
        f"    <EndToEndId>{payment.end_to_end_id}</EndToEndId>",
        f"    <UETR>{payment.uetr}</UETR>",
        "  </PmtId>",
    ]


def iban(label):
    """A made-up account of a clearing number that no bank has, with its check digits."""
    account = f"00999{draw(f'iban/{label}', 10**12):012d}"
    check = 98 - int(account + "121700") % 97
    return f"CH{check:02d}{account}"


def group_header(half, bank, name, payments, totals):
    control = sum(payment.cents for payment in payments)
    return [
        "<GrpHdr>",
        f"  <MsgId>{short(bank)}-{half.upper()}-{name.upper()}</MsgId>",
        f"  <CreDtTm>{DAY}T{HALVES[half]}+02:00</CreDtTm>",
        f"  <NbOfTxs>{len(payments)}</NbOfTxs>",
        f"  <CtrlSum>{decimal(control)}</CtrlSum>",
        *(f"  {total}" for total in totals),
        "  <SttlmInf><SttlmMtd>CLRG</SttlmMtd></SttlmInf>",
        "</GrpHdr>",
    ]


def document(message, root, header, parts):
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{message}">')
    lines.append(f"  <{root}>")
    lines.extend(f"    {line}" for part in [header, *parts] for line in part)
    lines.append(f"  </{root}>")
    lines.append("</Document>")
    return "\n".join(lines) + "\n"


def payments_csv(payments):
    rows = ["debtor_bic,creditor_bic,currency,amount,uetr,end_to_end_id,settlement_date"]
    rows.extend(
        f"{p.debtor},{p.creditor},{p.currency},{decimal(p.cents)},{p.uetr},{p.end_to_end_id},{DAY}"
        for p in payments
    )
    return "\n".join(rows) + "\n"


# The banks' books, and what is wrong in them.


def funding_of(bank, currency):
    end_to_end_id = f"FUND-{bank[:8]}-{currency}"
    return Entry("CRDT", FUNDING, DAY, uetr_of(end_to_end_id), end_to_end_id)


def true_book(bank, currency, payments):
    """What the bank would have booked if it had booked everything right."""
    entries = [funding_of(bank, currency)]
    for payment in payments:
        if payment.currency != currency or bank not in (payment.debtor, payment.creditor):
            continue
        side = "DBIT" if bank == payment.debtor else "CRDT"
        entries.append(Entry(side, payment.cents, DAY, payment.uetr, payment.end_to_end_id))
    return entries


def plant(bank, currency, entries, categories, broken):
    """The book with one break of each of these categories, and the rows that expect them."""
    expected = []
    book = [[entry] for entry in entries]
    # Never the funding, and no payment in two books.
    free = [place for place, entry in enumerate(entries)
            if place > 0 and entry.end_to_end_id not in broken]
    for category in categories:
        label = f"break/{bank}/{currency}/{category}"
        # Two entries of one end-to-end id may be two payments: a person decides. Of one UETR they are not.
        places = [place for place in free
                  if category != "duplicate" or carries_uetr(bank, entries[place])]
        place = places[draw(label, len(places))]
        free.remove(place)
        entry = entries[place]
        broken.add(entry.end_to_end_id)
        ledger, booked, references = entry.cents, entry.cents, entry
        if category == "missing-first":
            references = Entry(
                ["DBIT", "CRDT"][draw(f"{label}/side", 2)], 100 + draw(f"{label}/cents", 50_000_00),
                DAY, uetr_of(label), f"{short(bank)}-99003",
            )
            ledger, booked = None, references.cents
            book[place] = [entry, references]
        elif category == "missing-second":
            booked = None
            book[place] = []
        elif category == "amount":
            booked = transposed(entry.cents)
            book[place] = [replaced(entry, cents=booked)]
        elif category == "direction":
            book[place] = [replaced(entry, side="DBIT" if entry.side == "CRDT" else "CRDT")]
        elif category == "value-date":
            book[place] = [replaced(entry, value_date=NEXT_DAY)]
        elif category == "duplicate":
            # The entry and its posting match; what stands there once more has no counterpart.
            ledger = None
            book[place] = [entry, entry]
        expected.append((bank, currency, category, references, ledger, booked))
    return [entry for entries in book for entry in entries], expected


def replaced(entry, **changes):
    return Entry(**{**entry.__dict__, **changes})


def transposed(cents):
    """Two neighbouring digits in the wrong order, as people type them."""
    digits = str(cents)
    for place in range(len(digits) - 1, 0, -1):
        left, right = digits[place - 1], digits[place]
        if left != right and not (place == 1 and right == "0"):
            return int(digits[:place - 1] + right + left + digits[place + 1:])
    return cents + 9_00


def carries_uetr(bank, entry):
    """Half of the entries of a book know only the end-to-end id."""
    return entry.end_to_end_id.startswith("FUND-") or draw(f"{bank}/{entry.end_to_end_id}", 2) == 0


def camt053(bank, currency, entries):
    credits = [entry.cents for entry in entries if entry.side == "CRDT"]
    debits = [entry.cents for entry in entries if entry.side == "DBIT"]
    closing = sum(credits) - sum(debits)
    assert closing >= 0, "the funding covers the day"
    statement = f"{bank[:8]}-{currency}-{DAY.replace('-', '')}"
    header = [
        "<GrpHdr>",
        f"  <MsgId>{statement}</MsgId>",
        f"  <CreDtTm>{NEXT_DAY}T19:00:00+02:00</CreDtTm>",
        "</GrpHdr>",
    ]
    body = [
        "<Stmt>",
        f"  <Id>{statement}</Id>",
        "  <ElctrncSeqNb>1</ElctrncSeqNb>",
        f"  <CreDtTm>{NEXT_DAY}T19:00:00+02:00</CreDtTm>",
        "  <FrToDt>",
        f"    <FrDtTm>{DAY}T00:00:00+02:00</FrDtTm>",
        f"    <ToDtTm>{NEXT_DAY}T23:59:59+02:00</ToDtTm>",
        "  </FrToDt>",
        "  <Acct>",
        f"    <Id><Othr><Id>{ACCOUNT_NAME}</Id></Othr></Id>",
        f"    <Ccy>{currency}</Ccy>",
        f"    <Ownr><Nm>{BANKS[bank]}</Nm><Id><OrgId><AnyBIC>{bank}</AnyBIC></OrgId></Id></Ownr>",
        f"    <Svcr><FinInstnId><BICFI>{AGENT}</BICFI></FinInstnId></Svcr>",
        "  </Acct>",
        *balance("OPBD", currency, 0, DAY),
        *balance("CLBD", currency, closing, NEXT_DAY),
        "  <TxsSummry>",
        f"    <TtlNtries><NbOfNtries>{len(entries)}</NbOfNtries></TtlNtries>",
        f"    <TtlCdtNtries><NbOfNtries>{len(credits)}</NbOfNtries>"
        f"<Sum>{decimal(sum(credits))}</Sum></TtlCdtNtries>",
        f"    <TtlDbtNtries><NbOfNtries>{len(debits)}</NbOfNtries>"
        f"<Sum>{decimal(sum(debits))}</Sum></TtlDbtNtries>",
        "  </TxsSummry>",
        *(line for number, entry in enumerate(entries, 1)
          for line in booked_entry(bank, currency, number, entry)),
        "</Stmt>",
    ]
    return document("camt.053.001.08", "BkToCstmrStmt", header, [body])


def balance(code, currency, cents, date):
    return [
        "  <Bal>",
        f"    <Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>",
        f'    <Amt Ccy="{currency}">{decimal(cents)}</Amt>',
        "    <CdtDbtInd>CRDT</CdtDbtInd>",
        f"    <Dt><Dt>{date}</Dt></Dt>",
        "  </Bal>",
    ]


def booked_entry(bank, currency, number, entry):
    family = "RCDT" if entry.side == "CRDT" else "ICDT"
    uetr = f"<UETR>{entry.uetr}</UETR>" if carries_uetr(bank, entry) else ""
    return [
        "  <Ntry>",
        f"    <NtryRef>{short(bank)}-{currency}-{number:04d}</NtryRef>",
        f'    <Amt Ccy="{currency}">{decimal(entry.cents)}</Amt>',
        f"    <CdtDbtInd>{entry.side}</CdtDbtInd>",
        "    <Sts><Cd>BOOK</Cd></Sts>",
        f"    <BookgDt><Dt>{DAY}</Dt></BookgDt>",
        f"    <ValDt><Dt>{entry.value_date}</Dt></ValDt>",
        f"    <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{family}</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly>"
        "</Domn></BkTxCd>",
        f"    <NtryDtls><TxDtls><Refs><EndToEndId>{entry.end_to_end_id}</EndToEndId>{uetr}</Refs>"
        "</TxDtls></NtryDtls>",
        "  </Ntry>",
    ]


def funding_csv():
    rows = ["bank,currency,amount,uetr,end_to_end_id,settlement_date"]
    for bank in BANKS:
        for currency in CURRENCIES:
            fund = funding_of(bank, currency)
            rows.append(
                f"{bank},{currency},{decimal(fund.cents)},{fund.uetr},{fund.end_to_end_id},{DAY}"
            )
    return "\n".join(rows) + "\n"


def expected_csv(expected):
    rows = ["bank,currency,category,uetr,end_to_end_id,ledger_amount,book_amount"]
    for bank, currency, category, references, ledger, booked in expected:
        known = ledger is not None or carries_uetr(bank, references)
        amounts = ["" if cents is None else decimal(cents) for cents in (ledger, booked)]
        uetr = references.uetr if known else ""
        rows.append(",".join([bank, currency, category, uetr, references.end_to_end_id, *amounts]))
    return "\n".join(rows) + "\n"


def build():
    """Every file by its path below this directory."""
    writers = {"pacs009": pacs009, "pacs008": pacs008}
    files = {"funding.csv": funding_csv()}
    submitted = make_payments()
    for (half, bank, name), payments in submitted.items():
        path = f"{half}/{bank[:8]}-{name}"
        writer = writers.get(name.split("-")[0])
        if writer is None:
            files[f"{path}.csv"] = payments_csv(payments)
        else:
            files[f"{path}.xml"] = writer(half, bank, name, payments)
    payments = [payment for batch in submitted.values() for payment in batch]
    check(payments)
    expected = []
    broken = set()
    for turn, bank in enumerate(BANKS):
        # Every bank meets every category once, three of them in each of its two books.
        categories = CATEGORIES[2 * turn:] + CATEGORIES[:2 * turn]
        for currency, share in zip(CURRENCIES, (categories[:3], categories[3:])):
            entries = true_book(bank, currency, payments)
            book, planted = plant(bank, currency, entries, share, broken)
            path = f"books/{bank[:8]}-{currency.lower()}-camt053.xml"
            files[path] = camt053(bank, currency, book)
            expected.extend(planted)
    assert all(sum(row[2] == category for row in expected) == 3 for category in CATEGORIES)
    files["expected-breaks.csv"] = expected_csv(expected)
    return files


def check(payments):
    assert len(payments) >= 200
    assert len({payment.uetr for payment in payments}) == len(payments)
    assert len({payment.end_to_end_id for payment in payments}) == len(payments)
    for bank in BANKS:
        for currency in CURRENCIES:
            paid = sum(payment.cents for payment in payments
                       if (payment.debtor, payment.currency) == (bank, currency))
            assert 0 < paid < FUNDING, "no payment may fail, whatever the order of the files"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    directory = pathlib.Path(__file__).resolve().parent
    files = build()
    present = {path.relative_to(directory).as_posix() for path in directory.rglob("*")
               if path.suffix in (".xml", ".csv")}
    if arguments.check:
        differing = [path for path, text in files.items()
                     if path not in present or (directory / path).read_bytes() != text.encode()]
        differing.extend(present - files.keys())
        for path in sorted(differing):
            print(f"{path} is not what generate.py writes: run deploy/demo/generate.py", file=sys.stderr)
        sys.exit(1 if differing else 0)
    for path in present - files.keys():
        (directory / path).unlink()
    for path, text in files.items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_bytes(text.encode())
    print(f"wrote {len(files)} files")


if __name__ == "__main__":
    main()
