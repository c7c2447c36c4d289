"""What the pixels of an analysed image are like, to compare with those of training.

Rows from before have none.
Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATISTICS = ("breast_share", "mean_grey", "grey_deviation", "detail")


def upgrade() -> None:
    for column in _STATISTICS:
        op.add_column("instance_outcome", sa.Column(column, sa.Double(), nullable=True))


def downgrade() -> None:
    for column in reversed(_STATISTICS):
        op.drop_column("instance_outcome", column)
