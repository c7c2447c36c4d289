"""How Alembic reaches the study log: always on the connection that `Database.migrate` passes in."""

from alembic import context
from sqlalchemy import Connection

from node.study_log.database import VERSION_TABLE
from node.study_log.tables import Base


def run() -> None:
    """Run the migrations inside the transaction of the connection that was passed in."""
    connection = context.config.attributes["connection"]
    if not isinstance(connection, Connection):
        message = f"expected a connection in the configuration, found {type(connection).__name__}"
        raise TypeError(message)
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        # SQLite cannot alter most of a table: Alembic copies it instead.
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


run()
