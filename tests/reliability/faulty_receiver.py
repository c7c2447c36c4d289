"""A receiver with a fault; see `fault_points`."""

import logging
from pathlib import Path

from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from reliability.fault import Fault, install
from reliability.faulty import Driver


def run_receiver(driver: Driver, point: str, way: str, data_dir: Path) -> None:
    """Receive until the driver says that it is enough; its port is told first."""
    logging.disable(logging.CRITICAL)  # tracebacks are what is wanted here
    fault = Fault(point, way, driver.tell)
    install(fault)
    settings = Settings(data_dir=data_dir, receive=ReceiveSettings(port=0, low_watermark_bytes=0))
    database = Database.open(settings)
    database.migrate()
    receiver = Receiver(settings, database, Store(data_dir))
    receiver.start()
    driver.tell(str(receiver.port))
    fault.is_armed = True
    driver.wait_for_the_end()
    fault.is_armed = False
    receiver.stop(deadline_s=5)
    database.close()
