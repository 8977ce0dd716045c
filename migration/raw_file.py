"""The legacy file as the toolkit reads it: text stays bytes, so that nothing is lost or changed by decoding."""

import sqlite3

from migration.values import Text
from service_kit.truth.legacy_file import LegacyFile


class RawFile(LegacyFile):
    """A `LegacyFile` whose TEXT values come as `values.Text`; BLOBs as bytes."""

    def open(self) -> sqlite3.Connection:
        connection = super().open()
        connection.text_factory = Text
        return connection
