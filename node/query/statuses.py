"""Every status that a query or retrieval can be answered with, PS3.4 tables C.4-1 to C.4-3."""

from node.intake.answering import SOP_CLASS_NOT_SUPPORTED, UNABLE_TO_PROCESS
from node.intake.answers import SUCCESS, Answer
from node.query.levels import IDENTIFIER_DOES_NOT_MATCH

OUT_OF_RESOURCES = 0xA700
CANCELLED = 0xFE00
PENDING = 0xFF00
PENDING_PARTLY_SUPPORTED = 0xFF01
UNABLE_TO_COUNT_MATCHES = 0xA701
UNABLE_TO_PERFORM = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
SOME_FAILED = 0xB000

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
        status=SOP_CLASS_NOT_SUPPORTED,
        meaning="Refused: SOP Class not supported",
        when=("the request came in the presentation context of another SOP class",),
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
            "a value, or a list of values, longer than is taken",
            "an error of the node, which its log has",
        ),
    ),
)

RETRIEVE_ANSWERS = (
    Answer(
        status=PENDING,
        meaning="Sub-operations are continuing",
        when=("a sub-operation is to begin",),
    ),
    Answer(
        status=SUCCESS,
        meaning="Sub-operations complete",
        when=("every sub-operation succeeded", "nothing fits: there was none"),
    ),
    Answer(
        status=SOME_FAILED,
        meaning="Sub-operations complete, one or more failures or warnings",
        when=("some failed, and are listed, or had a warning",),
    ),
    Answer(
        status=CANCELLED,
        meaning="Sub-operations terminated due to Cancel request",
        when=("a C-CANCEL came before the last sub-operation; what had failed is listed",),
    ),
    Answer(
        status=UNABLE_TO_COUNT_MATCHES,
        meaning="Refused: Out of Resources, unable to calculate number of matches",
        when=(
            "the study log does not answer now",
            "more is meant than the counters take, or more UIDs are listed than is accepted",
        ),
    ),
    Answer(
        status=UNABLE_TO_PERFORM,
        meaning="Refused: Out of Resources, unable to perform sub-operations",
        when=(
            "every sub-operation failed, as where the AE is away; all are listed",
            "a study is meant whose results are not ready yet, and nothing else",
            "results are meant that name the patient as before a correction, and nothing else",
            "a series or image is meant that was received",
            "`query.max_retrievals` are being served, and none of them ended in time",
        ),
    ),
    Answer(
        status=MOVE_DESTINATION_UNKNOWN,
        meaning="Refused: Move Destination unknown",
        when=("no AE of that title is in the settings",),
    ),
    Answer(
        status=SOP_CLASS_NOT_SUPPORTED,
        meaning="Refused: SOP Class not supported",
        when=("the request came in the presentation context of another SOP class",),
    ),
    Answer(
        status=IDENTIFIER_DOES_NOT_MATCH,
        meaning="Identifier does not match SOP Class",
        when=(
            "no Query/Retrieve Level, or none of the model's",
            "a unique key is missing, or not as above",
        ),
    ),
    Answer(
        status=UNABLE_TO_PROCESS,
        meaning="Unable to process",
        when=(
            "the identifier is no data set, or only the beginning of one",
            "several patients have that Patient ID, and no issuer is named",
            "an error of the node, which its log has",
        ),
    ),
)
