"""What biopsies and follow-up examinations said, by breast.

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breast_outcome",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("issuer_of_patient_id", sa.String(), nullable=False),
        sa.Column("pseudonym", sa.String(), nullable=False),
        sa.Column("date", sa.String(length=8), nullable=False),
        sa.Column("laterality", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("imported_by", sa.String(), nullable=False),
        sa.Column("emptied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.String(), nullable=True),
        sa.Column("withdrawal_reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_breast_outcome")),
        sa.UniqueConstraint(
            "patient_id", "issuer_of_patient_id", "date", "laterality", "source", "result",
            name=op.f("uq_breast_outcome_once"),
        ),
    )  # fmt: skip
    op.create_index(op.f("ix_breast_outcome_patient_id"), "breast_outcome", ["patient_id"])


def downgrade() -> None:
    op.drop_table("breast_outcome")
