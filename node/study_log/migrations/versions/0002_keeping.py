"""What is given up (files under retention, deleted studies, decided conflicts), and corrections.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("study", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("study", sa.Column("deleted_by", sa.String(), nullable=True))
    op.add_column("study", sa.Column("deletion_reason", sa.String(), nullable=True))
    op.add_column("instance", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("instance", sa.Column("removed_because", sa.String(), nullable=True))
    op.add_column("conflict", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("conflict", sa.Column("decided_by", sa.String(), nullable=True))
    op.add_column("result", sa.Column("file_sha256", sa.String(length=64), nullable=True))
    op.add_column("result", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("result", sa.Column("removed_because", sa.String(), nullable=True))
    op.create_table(
        "removal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_removal_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removal")),
        sa.UniqueConstraint("path", name=op.f("uq_removal_path")),
    )
    op.create_index(op.f("ix_removal_study_id"), "removal", ["study_id"])
    op.create_table(
        "patient_correction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_patient_correction_study_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_correction")),
    )
    op.create_index(op.f("ix_patient_correction_study_id"), "patient_correction", ["study_id"])
    op.create_table(
        "rejection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("note_sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("code_value", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_rejection_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejection")),
        sa.UniqueConstraint(
            "sop_instance_uid",
            "note_sop_instance_uid",
            name=op.f("uq_rejection_sop_instance_uid_note_sop_instance_uid"),
        ),
    )
    op.create_index(op.f("ix_rejection_study_id"), "rejection", ["study_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_rejection_study_id"), table_name="rejection")
    op.drop_table("rejection")
    op.drop_index(op.f("ix_patient_correction_study_id"), table_name="patient_correction")
    op.drop_table("patient_correction")
    op.drop_index(op.f("ix_removal_study_id"), table_name="removal")
    op.drop_table("removal")
    for table, column in (
        ("result", "removed_because"),
        ("result", "removed_at"),
        ("result", "file_sha256"),
        ("conflict", "decided_by"),
        ("conflict", "decided_at"),
        ("instance", "removed_because"),
        ("instance", "removed_at"),
        ("study", "deletion_reason"),
        ("study", "deleted_by"),
        ("study", "deleted_at"),
    ):
        op.drop_column(table, column)
