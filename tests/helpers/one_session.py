"""One Spark session for many jobs of a process: its start is paid for once."""

from contextlib import contextmanager

import pipelines.engine.session


@contextmanager
def one_session():
    """Let jobs share a session while its settings stay the same; gives what ends it."""
    make, kept = pipelines.engine.session.spark_session, {}

    def close():
        for context, _ in kept.values():
            context.__exit__(None, None, None)
        kept.clear()

    @contextmanager
    def shared(app, settings):
        if settings.master == "local[2]":  # a retry changes nothing but who can share the session
            settings = settings.model_copy(update={"master": "local[2,4]"})
        if settings not in kept:
            close()
            context = make(app, settings)
            kept[settings] = context, context.__enter__()
        yield kept[settings][1]

    pipelines.engine.session.spark_session = shared
    try:
        yield close
    finally:
        pipelines.engine.session.spark_session = make
        close()
