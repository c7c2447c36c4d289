"""Every status that a C-FIND request can be answered with, PS3.4 table C.4-1."""

from node.intake.answers import SUCCESS, Answer
from node.query.levels import IDENTIFIER_DOES_NOT_MATCH, UNABLE_TO_PROCESS

OUT_OF_RESOURCES = 0xA700
CANCELLED = 0xFE00
PENDING = 0xFF00
PENDING_PARTLY_SUPPORTED = 0xFF01

FIND_ANSWERS = (
    Answer(
        status=PENDING,
        meaning="Matches are continuing",
        when=("one match; every key was known, and matched if it had a value",),
    ),
    Answer(
        status=PENDING_PARTLY_SUPPORTED,
        meaning="Matches are continuing, one or more Optional Keys were not supported",
        when=(
            "one match; an attribute was asked for that is not known at this level: it is left out",
            "one match; a value was given for a key that is not matched: it excludes none",
        ),
    ),
    Answer(
        status=SUCCESS,
        meaning="Matching is complete",
        when=("all matches were sent; there may be none",),
    ),
    Answer(
        status=CANCELLED,
        meaning="Matching terminated due to Cancel request",
        when=("a C-CANCEL came in the middle of the answers",),
    ),
    Answer(
        status=OUT_OF_RESOURCES,
        meaning="Refused: Out of Resources",
        when=(
            "`query.max_queries` are being answered, and none of them ended in time",
            "the study log does not answer now",
        ),
    ),
    Answer(
        status=IDENTIFIER_DOES_NOT_MATCH,
        meaning="Identifier does not match SOP Class",
        when=(
            "no Query/Retrieve Level, or none of the model's",
            (
                "the unique key of a level above is missing, has several values, a wild card or, "
                "of a UID, a value that is none: relational queries are not negotiated"
            ),
        ),
    ),
    Answer(
        status=UNABLE_TO_PROCESS,
        meaning="Unable to process",
        when=(
            "the identifier is no data set, or only the beginning of one",
            "a Specific Character Set that is no defined term, or text that is not in it",
            "a date, a time, a range, a UID or a number that is none",
            "a range that ends before it begins; several values where one is matched",
            "a value of a private attribute that it cannot have",
        ),
    ),
)
