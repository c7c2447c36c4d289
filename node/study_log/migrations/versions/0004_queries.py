"""What queries ask for: names as they are looked for, numbers and words of series, indices.

Rows from before have no series numbers and words; names are made ready to be looked for.
Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

from node.study_log.matching import name_key

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXTS = (
    ("study", "patient_name_key"),
    ("study", "study_id"),
    ("study", "referring_physician_name"),
    ("study", "referring_physician_name_key"),
    ("instance", "series_number"),
    ("instance", "series_description"),
    ("instance", "instance_number"),
    ("result", "modality"),
    ("result", "series_number"),
    ("result", "series_description"),
    ("result", "instance_number"),
)
_INDICES = (
    ("study", "patient_name_key"),
    ("instance", "series_instance_uid"),
    ("result", "series_instance_uid"),
)
_INDICES_OF_SEVERAL = (
    ("ix_study_state_received", "study", ["state", "last_received_at"]),
    ("ix_study_calling_ae_title_received", "study", ["calling_ae_title", "last_received_at"]),
    ("ix_study_patient", "study", ["patient_id", "issuer_of_patient_id"]),
    ("ix_revision_newest_score", "revision", ["study_id", "number", "score"]),
)
_INDICES_BEFORE = ("state", "patient_id")


def upgrade() -> None:
    for table, column in _TEXTS:
        op.add_column(table, sa.Column(column, sa.String(), nullable=False, server_default=""))
    for table, column in _INDICES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    for name, table, columns in _INDICES_OF_SEVERAL:
        op.create_index(name, table, columns)
    # Those that begin with the state and the patient have taken their places.
    for column in _INDICES_BEFORE:
        op.drop_index(op.f(f"ix_study_{column}"), table_name="study")
    _make_names_ready()


def _make_names_ready() -> None:
    study = sa.table(
        "study", sa.column("id"), sa.column("patient_name"), sa.column("patient_name_key")
    )
    connection = op.get_bind()
    for number, name in connection.execute(sa.select(study.c.id, study.c.patient_name)).all():
        connection.execute(
            study.update().where(study.c.id == number).values(patient_name_key=name_key(name))
        )


def downgrade() -> None:
    for column in _INDICES_BEFORE:
        op.create_index(op.f(f"ix_study_{column}"), "study", [column])
    for name, table, _ in reversed(_INDICES_OF_SEVERAL):
        op.drop_index(name, table_name=table)
    for table, column in reversed(_INDICES):
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    for table, column in reversed(_TEXTS):
        op.drop_column(table, column)
