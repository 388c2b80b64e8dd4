"""Which topic is gone on with by what: the table for a daemon that finds conversations of the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seaway_daemon.api import attach, events, exec, images, lifecycle, logs, stats
from seaway_daemon.conversation import topics
from seaway_daemon.conversation.keeper import Talk
from seaway_daemon.engine import Engine
from seaway_daemon.fleet import nodes

TALKS: Mapping[type[topics.Topic], Callable[[Engine, Any], Talk]] = {
    topics.Attachment: attach.attached,
    topics.Copy: logs.copied,
    topics.EventStream: events.told,
    topics.Execution: exec.executed,
    topics.Pulling: images.pulled,
    topics.StatsStream: stats.watched,
    topics.Starting: lifecycle.started,
    topics.Stopping: lifecycle.stopped,
    topics.Tunnel: nodes.tunnelled,
    topics.Waiting: lifecycle.awaited,
}
