"""Delivery: takes submissions from the outbox to a destination, each at most once, every doubt settled or shown.

`engine.deliver` is the way in. `verdict` decides (pure), `pace` slows down, `commits` makes durable, `batch` serves
destinations that take one file per run.
"""

from ptbridge.delivery.clock import Clock, SystemClock
from ptbridge.delivery.engine import deliver
from ptbridge.delivery.pace import Pace
from ptbridge.delivery.policy import RetryPolicy
from ptbridge.delivery.report import DeliveryReport

__all__ = ["Clock", "DeliveryReport", "Pace", "RetryPolicy", "SystemClock", "deliver"]
