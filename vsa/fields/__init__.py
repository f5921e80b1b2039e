"""Typed encoders for chosen fields of a record: ``vsa.JSONEncoder(fields={"location": vsa.fields.LatLong()})``."""

from vsa.fields.base import Field, Space
from vsa.fields.lat_long import LatLong
from vsa.fields.moments import Timestamp, Year
from vsa.fields.text_model import TextModel

__all__ = ["Field", "LatLong", "Space", "TextModel", "Timestamp", "Year"]
