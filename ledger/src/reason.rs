//! Every business "no", numbered by class. When several apply the lowest number is the answer, on
//! every node: 1xx shape · 2xx signature and authority · 3xx identity and time · 4xx account and
//! asset · 5xx funds · 6xx consent · 8xx reconciliation.
//!
//! Classes 1xx to 3xx burn nothing and leave no leaf, so that nobody can order a victim's
//! instruction with a bad signature and create a verdict. The others burn the id and leave one.

macro_rules! reasons {
    ($($variant:ident = $code:literal, $name:literal, $iso:literal, $meaning:literal, $remedy:literal;)*) => {
        /// Why an instruction or an item of it is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Reason {
            $(#[doc = $meaning] $variant = $code,)*
        }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// The reason with a number.
            pub fn from_code(code: u16) -> Option<Reason> {
                match code { $($code => Some(Reason::$variant),)* _ => None }
            }

            /// Its name, for machines: UPPER_SNAKE_CASE.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// The nearest ISO 20022 external status reason code.
            pub fn iso_code(self) -> &'static str {
                match self { $(Reason::$variant => $iso,)* }
            }

            /// What it means, one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$variant => $meaning,)* }
            }

            /// What the submitter does about it, one sentence.
            pub fn remedy(self) -> &'static str {
                match self { $(Reason::$variant => $remedy,)* }
            }
        }
    };
}

reasons! {
    TooLarge = 101, "TOO_LARGE", "FF10",
        "The instruction is larger than the ledger takes.",
        "Split it: at most 8,192 items and 3 MiB an instruction.";
    Malformed = 102, "MALFORMED", "FF02",
        "The bytes are not a protobuf message of the expected kind.",
        "Build the message with the published .proto files and send its bytes unchanged.";
    NotCanonical = 103, "NOT_CANONICAL", "FF02",
        "The bytes decode, but encoding them again gives other bytes, or they use a field that this rule version does not know.",
        "Serialise in field order without unknown fields, and sign and send exactly those bytes.";
    BodyMissing = 104, "BODY_MISSING", "CH21",
        "The instruction orders nothing.",
        "Set exactly one body.";
    IdMalformed = 105, "ID_MALFORMED", "DU05",
        "The instruction id is not a UUIDv7 of 16 bytes.",
        "Make a new UUIDv7 for each new instruction.";
    BicMalformed = 106, "BIC_MALFORMED", "RC01",
        "An institution is not named by a BIC of eleven characters.",
        "Give the BIC in upper case, with XXX where there is no branch.";
    ValidUntilMissing = 107, "VALID_UNTIL_MISSING", "CH21",
        "valid_until_ms is zero.",
        "Say until when the instruction may be ordered.";
    AnchorMalformed = 108, "ANCHOR_MALFORMED", "CH16",
        "The anchor is neither empty nor a hash of 32 bytes.",
        "Give height and header hash together, or neither.";
    ItemsUnexpected = 109, "ITEMS_UNEXPECTED", "CH17",
        "Items travel beside a body that is not a batch.",
        "Send items only with a batch.";
    BatchCountWrong = 110, "BATCH_COUNT_WRONG", "AM19",
        "A batch has no items, more than 8,192, or another number than it says.",
        "Set count to the number of items, 1 to 8,192.";
    BatchRootWrong = 111, "BATCH_ROOT_WRONG", "FF02",
        "items_root is not the RFC 6962 root of the items sent.",
        "Compute the root over exactly the bytes of the items, in their order.";
    AccountIdMalformed = 112, "ACCOUNT_ID_MALFORMED", "AC01",
        "An account id is not 16 bytes.",
        "Compute it from servicer, owner, asset and name.";
    SameAccount = 113, "SAME_ACCOUNT", "AC03",
        "Debit and credit account are the same.",
        "Name two accounts.";
    AmountZero = 114, "AMOUNT_ZERO", "AM01",
        "The amount is zero.",
        "Give a positive amount in minor units.";
    AmountTooLarge = 115, "AMOUNT_TOO_LARGE", "AM02",
        "The amount is larger than 2^63 - 1 minor units.",
        "Split it.";
    UetrMalformed = 116, "UETR_MALFORMED", "CH16",
        "The UETR is not a UUIDv4 of 16 bytes.",
        "Give the payment's UETR, or make a UUIDv4.";
    DateMalformed = 117, "DATE_MALFORMED", "DT01",
        "A date is not a day that exists, written yyyymmdd.",
        "Correct the date.";
    ReferenceMalformed = 118, "REFERENCE_MALFORMED", "CH16",
        "A reference is longer than 35 characters, leaves the SWIFT X set, or begins or ends with a space.",
        "Correct the reference.";
    NameMalformed = 119, "NAME_MALFORMED", "CH16",
        "An account's name is empty, longer than 35 characters, leaves the SWIFT X set, or begins or ends with a space.",
        "Choose another name.";
    AssetMalformed = 120, "ASSET_MALFORMED", "AM11",
        "An asset code is not 1 to 12 of A-Z, 0-9 and '-'.",
        "Give a registered code.";
    CommitmentMalformed = 121, "COMMITMENT_MALFORMED", "CH16",
        "A commitment is neither empty nor 32 bytes.",
        "Give a SHA-256, or nothing.";
    SaltMissing = 122, "SALT_MISSING", "CH21",
        "The salt is not 16 bytes.",
        "Draw 16 random bytes for each item.";
    SideMissing = 123, "SIDE_MISSING", "CH21",
        "A book entry is neither debit nor credit.",
        "Set the side, as the account sees it.";
    DatesReversed = 124, "DATES_REVERSED", "DT01",
        "A statement ends before it begins, or spans more than 366 days.",
        "Correct the dates, or send several statements.";
    StatementIdMissing = 125, "STATEMENT_ID_MISSING", "CH21",
        "A statement has no identification.",
        "Give the statement's own identification.";
    ItemsMixed = 126, "ITEMS_MIXED", "CH16",
        "The book entries of one batch are for different accounts.",
        "Send one batch an account.";
    AllOrNothingUnsupported = 127, "ALL_OR_NOTHING_UNSUPPORTED", "CH17",
        "Book entries are recorded each for itself; all_or_nothing has no meaning for them.",
        "Leave all_or_nothing unset.";
    TermsMissing = 128, "TERMS_MISSING", "CH21",
        "An offer of an agreement has no terms.",
        "Give the terms that are offered.";
    PartiesEqual = 129, "PARTIES_EQUAL", "CH16",
        "The servicer and the owner of an agreement are one institution.",
        "Name two institutions: an agreement is between two.";
    AgreementAccountsWrong = 130, "AGREEMENT_ACCOUNTS_WRONG", "CH16",
        "An agreement has no accounts, more than 64, or one of them twice.",
        "Name 1 to 64 accounts, each once.";
    SourcesTooFew = 131, "SOURCES_TOO_FEW", "CH21",
        "An agreement compares fewer than two of ledger, owner's book and servicer's book.",
        "Set at least two of ledger, owner_book and servicer_book.";
    ToleranceMalformed = 132, "TOLERANCE_MALFORMED", "CH16",
        "An agreement has more than 32 tolerances, two for one asset, or one of more than 10,000 basis points.",
        "Give at most one tolerance an asset, of at most 10,000 basis points.";
    DeadlineOutOfRange = 133, "DEADLINE_OUT_OF_RANGE", "DT01",
        "value_date_window is more than 30, missing_after_days is more than 250, or missing_at_minute is not 1 to 1440.",
        "Correct the window, the days or the minute.";
    DutyMalformed = 134, "DUTY_MALFORMED", "CH16",
        "A duty names no category that exists, one that another duty has, no party, or days outside 1 to 250.",
        "Give at most one duty a category, with servicer or owner, and 1 to 250 days (escalate_days may be 0).";
    CalendarMalformed = 135, "CALENDAR_MALFORMED", "CH16",
        "The calendar is missing, is further from UTC than -720 to 840 minutes, has no day of business in a week, or has more than 400 holidays or holidays that do not ascend.",
        "Give the offset, the weekend as bits 0 (Monday) to 6 (Sunday), and the holidays in ascending order.";
    RunTimesMalformed = 136, "RUN_TIMES_MALFORMED", "CH16",
        "An agreement has more than 24 run times, one twice, or one that is no minute of a day.",
        "Give at most 24 different minutes, each 0 to 1439.";
    AgreementIdMalformed = 137, "AGREEMENT_ID_MALFORMED", "CH16",
        "An agreement's id is not 16 bytes.",
        "Compute it from the terms: the first 16 bytes of their SHA-256.";
    AnswerMissing = 138, "ANSWER_MISSING", "CH21",
        "The answer to an offer is none of accept, reject and withdraw.",
        "Set the answer.";
    SealingKeysMalformed = 139, "SEALING_KEYS_MALFORMED", "CH16",
        "An agreement that keeps originals lacks a sealing key of 32 bytes that are not all zero, or one that keeps none names a sealing key.",
        "Give servicer_sealing_key and owner_sealing_key with keep_originals, and neither without.";
    ComparisonMissing = 150, "COMPARISON_MISSING", "CH21",
        "A decision does not say which two sources it is about.",
        "Set comparison.";
    ItemNumbersMalformed = 151, "ITEM_NUMBERS_MALFORMED", "CH16",
        "Items are not named by numbers from 1 that ascend, at most 64 of a source, or a decision names fewer than two.",
        "Name each item once, in ascending order.";
    DecisionMissing = 152, "DECISION_MISSING", "CH21",
        "A decision does not say what is decided.",
        "Set decision.";
    PartyMissing = 153, "PARTY_MISSING", "CH21",
        "A party is not named.",
        "Name the servicer or the owner.";
    AnswerCodeMalformed = 154, "ANSWER_CODE_MALFORMED", "CH16",
        "What is said of a break has neither a code of four characters nor a commitment nor an attachment, or its code is no such code.",
        "Give a code of ExternalInvestigationExecutionConfirmation1Code, or the hash of a text or a document.";
    ResolutionMalformed = 155, "RESOLUTION_MALFORMED", "CH16",
        "A resolution has no kind, names a transfer where none belongs, or not the one that is agreed to.",
        "Name amount and accounts for a correcting transfer or a return, for nothing else, and repeat the offer as it was made.";
    PurposeUnknown = 156, "PURPOSE_UNKNOWN", "CH16",
        "A book entry has a purpose that is not one of those listed.",
        "Set purpose to lending or repayment, or leave it out.";

    SignatureMissing = 201, "SIGNATURE_MISSING", "DS0A",
        "The instruction does not carry exactly one signature.",
        "Sign it once.";
    InstitutionUnknown = 202, "INSTITUTION_UNKNOWN", "DNOR",
        "The instruction names a signer that is no member of this consortium.",
        "Correct the BIC, or use the consortium that it is a member of.";
    KeyUnknown = 203, "KEY_UNKNOWN", "DS0E",
        "The key is not enrolled for the institution that the instruction names.",
        "Sign with an enrolled key of that institution.";
    KeyPurposeWrong = 204, "KEY_PURPOSE_WRONG", "DS0G",
        "The key is enrolled, but not to sign instructions.",
        "Sign with a key of purpose INSTRUCTION.";
    SignerNotServicer = 205, "SIGNER_NOT_SERVICER", "DS0H",
        "An account is opened by another institution than its servicer.",
        "Let the servicer open it.";
    SignatureInvalid = 206, "SIGNATURE_INVALID", "DS0D",
        "The signature does not fit the bytes, the key and this chain.",
        "Sign the exact instruction bytes with the preimage of this chain id.";
    SignerNotCaller = 207, "SIGNER_NOT_CALLER", "AG08",
        "The instruction is signed by another institution than the one that is connected.",
        "Submit it through a connection of the institution that signed it.";

    IdReused = 301, "ID_REUSED", "AM05",
        "The id was used before with other content.",
        "Make a new id for new content; send the old content to learn the old outcome.";
    Expired = 302, "EXPIRED", "AB03",
        "valid_until_ms has passed.",
        "Send a new instruction with a new id.";
    IdTooOld = 303, "ID_TOO_OLD", "DT02",
        "The id's time is more than 24 hours before the block's.",
        "Make a new id shortly before sending.";
    IdInFuture = 304, "ID_IN_FUTURE", "DT04",
        "The id's time is more than 5 minutes after the block's.",
        "Correct the clock of the machine that made it.";
    ValidUntilTooFar = 305, "VALID_UNTIL_TOO_FAR", "DT04",
        "valid_until_ms is more than 24 hours after the id's own time.",
        "Shorten it.";
    AnchorMismatch = 306, "ANCHOR_MISMATCH", "NARR",
        "The header at the anchor's height has another hash, is older than a day, or does not exist.",
        "Check which history the anchor was taken from before doing anything else.";

    AccountUnknown = 401, "ACCOUNT_UNKNOWN", "AC01",
        "There is no such account, or the signer is no party to it.",
        "Check servicer, owner, asset and name.";
    DebitAccountUnknown = 402, "DEBIT_ACCOUNT_UNKNOWN", "AC02",
        "There is no such account to debit, or it is not the signer's.",
        "Check servicer, owner, asset and name.";
    CreditAccountUnknown = 403, "CREDIT_ACCOUNT_UNKNOWN", "AC03",
        "There is no such account to credit with the debit account's servicer and in its asset.",
        "Check servicer, owner, asset and name.";
    AssetUnknown = 404, "ASSET_UNKNOWN", "AM03",
        "The asset is not registered.",
        "Use a registered asset.";
    OwnerUnknown = 405, "OWNER_UNKNOWN", "CNOR",
        "The owner is no member of this consortium.",
        "Correct the BIC.";
    AccountExists = 406, "ACCOUNT_EXISTS", "AC01",
        "The account is open already.",
        "Use it.";
    UetrSettled = 407, "UETR_SETTLED", "DU03",
        "A transfer with this UETR has settled from this account before.",
        "Look it up before sending anything; a new payment needs a new UETR.";

    InsufficientFunds = 501, "INSUFFICIENT_FUNDS", "AM04",
        "The debit account's balance does not cover the amount.",
        "Fund the account, then send a new instruction.";
    BalanceTooLarge = 502, "BALANCE_TOO_LARGE", "AM02",
        "A balance would leave the range of 63 bits of minor units.",
        "Use another account.";

    BatchAborted = 601, "BATCH_ABORTED", "ED05",
        "Another item of an all-or-nothing batch was refused.",
        "Correct that item and send a new batch.";

    StatementDuplicate = 801, "STATEMENT_DUPLICATE", "AM05",
        "A statement with this identification was recorded before for this account and book.",
        "Nothing, if it is the same statement.";
    AgreementUnknown = 802, "AGREEMENT_UNKNOWN", "NARR",
        "There is no such agreement, or the signer is no party of it.",
        "Check the agreement's id.";
    AgreementExists = 803, "AGREEMENT_EXISTS", "AM05",
        "The same terms were offered before.",
        "Look the agreement up; to offer them again, draw a new salt.";
    AnswerNotSigners = 804, "ANSWER_NOT_SIGNERS", "AG08",
        "An offer is accepted or rejected by who made it, or withdrawn by the other party.",
        "Let the other party accept or reject; withdraw only what you offered.";
    AgreementAnswered = 805, "AGREEMENT_ANSWERED", "AM05",
        "The offer has been accepted, rejected or withdrawn already.",
        "Look the agreement up; what has been decided is changed by new terms.";
    OfferExpired = 806, "OFFER_EXPIRED", "AB03",
        "accept_until_ms of the offer has passed.",
        "Offer the terms again with a new salt.";
    RuleSetUnknown = 807, "RULE_SET_UNKNOWN", "CH16",
        "The ledger does not know the rules of matching that the terms name.",
        "Set rule_set to 1.";
    AcceptUntilOutOfRange = 808, "ACCEPT_UNTIL_OUT_OF_RANGE", "DT01",
        "accept_until_ms is before the block's time, or more than 90 days after it.",
        "Let the offer stand for up to 90 days.";
    SupersededNotInForce = 810, "SUPERSEDED_NOT_IN_FORCE", "NARR",
        "supersedes names no agreement of these two parties that is accepted and has no successor.",
        "Name the newest agreement of these accounts, or none.";
    AccountGoverned = 811, "ACCOUNT_GOVERNED", "AM05",
        "An account has an agreement already, and supersedes does not name it.",
        "Name that agreement in supersedes, or leave the account out.";
    EffectiveDateTooEarly = 812, "EFFECTIVE_DATE_TOO_EARLY", "DT01",
        "effective_from is not after that of the agreement that is superseded, or an account is still governed on that day.",
        "Choose a later day.";
    NotReconciled = 820, "NOT_RECONCILED", "NARR",
        "No agreement in force compares this book of the account on that date.",
        "Agree with the other institution how the account is reconciled, then send it again with a new id.";
    ItemUnknown = 821, "ITEM_UNKNOWN", "NARR",
        "An item that is named is not open in this comparison, or there is none.",
        "Look the items up again.";
    MatchUnbalanced = 822, "MATCH_UNBALANCED", "AM10",
        "What is to be a match does not add up to the same on both sides, within the tolerance.",
        "Name all items that belong together.";
    MatchUnknown = 823, "MATCH_UNKNOWN", "NARR",
        "There is no match of exactly these items.",
        "Look the match up again.";
    BreakUnknown = 824, "BREAK_UNKNOWN", "NARR",
        "The account has no break with this number.",
        "Look the breaks up again.";
    BreakEnded = 825, "BREAK_ENDED", "NARR",
        "The break has healed or is resolved.",
        "Reopen it, if the resolution was none.";
    BreakNotResolved = 826, "BREAK_NOT_RESOLVED", "NARR",
        "Only what was resolved or written off can be reopened.",
        "Go on with the break as it is.";
    ResolutionPending = 827, "RESOLUTION_PENDING", "NARR",
        "The other party's offer has not been answered, or one has been agreed and waits for its payer.",
        "Agree to it or decline it first.";
    ResolutionUnknown = 828, "RESOLUTION_UNKNOWN", "NARR",
        "Nothing like this is offered for the break.",
        "Look the offer up again.";
    OwnResolution = 829, "OWN_RESOLUTION", "DS0H",
        "An offer is agreed to by who made it.",
        "Let the other party answer.";
    SecondKeyMissing = 830, "SECOND_KEY_MISSING", "DS0H",
        "A write-off is agreed to by the same key, or by the other institution.",
        "Sign with another key of the institution that writes off.";
    TransferMissing = 831, "TRANSFER_MISSING", "CH21",
        "The payer agrees without the transfer.",
        "Put the transfer into the agreement.";
    PayerUnknown = 832, "PAYER_UNKNOWN", "AC02",
        "The account that would be debited is not one of the two parties'.",
        "Name accounts of the two parties.";
    PositionWrong = 833, "POSITION_WRONG", "AM10",
        "The figures are not what the ledger has of this book and date.",
        "Post what is missing, and compute the view again.";
    BreakConversationFull = 834, "BREAK_CONVERSATION_FULL", "NARR",
        "The institution has done 128 steps on this break, and this one does not end it.",
        "Agree to what is offered, or let the other party take the next step.";
    OriginalMissing = 835, "ORIGINAL_MISSING", "CH21",
        "The agreement keeps the originals of statements, and the statement names none.",
        "Set original to the SHA-256 of the file, and put the file, sealed to both parties.";
    DayClosed = 836, "DAY_CLOSED", "NARR",
        "The item or the break is of days that both parties have agreed long ago; nothing of them is changed any more.",
        "Book what is wrong as a new entry of an open day.";
}

impl Reason {
    /// Its number.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Whether a refusal for this reason uses up the id and leaves a leaf.
    pub fn burns_id(self) -> bool {
        self.code() >= 400
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_names_are_unique() {
        assert!(Reason::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert_eq!(Reason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
        }
    }
}
