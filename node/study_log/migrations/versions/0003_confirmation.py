"""Whether an archive keeps what it acknowledged: storage commitment, or a query.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "delivery_object", sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("delivery_object", sa.Column("failure_reason", sa.Integer(), nullable=True))
    op.create_table(
        "commitment_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name=op.f("fk_commitment_request_delivery_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitment_request")),
        sa.UniqueConstraint("transaction_uid", name=op.f("uq_commitment_request_transaction_uid")),
    )
    op.create_index(
        op.f("ix_commitment_request_delivery_id"), "commitment_request", ["delivery_id"]
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_commitment_request_delivery_id"), table_name="commitment_request")
    op.drop_table("commitment_request")
    op.drop_column("delivery_object", "failure_reason")
    op.drop_column("delivery_object", "confirmed_at")
