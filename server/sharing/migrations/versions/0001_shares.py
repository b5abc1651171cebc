"""Shared paintings and the pieces of their files."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "shares",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=True),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_shares_expires", "shares", ["expires"])
    op.create_table(
        "share_pieces",
        sa.Column("share", sa.String(22), sa.ForeignKey("shares.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary(256 * 1024), nullable=False),
    )


def downgrade() -> None:
    """Forget every shared painting."""
    op.drop_table("share_pieces")
    op.drop_table("shares")
