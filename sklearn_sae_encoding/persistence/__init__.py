"""Fitted encoders to folders of numbers and JSON, and back, with a record of what they were made from."""

from ._errors import SavedEncoderError
from ._folder import load_encoder, read_manifest, save_encoder

__all__ = ["SavedEncoderError", "load_encoder", "read_manifest", "save_encoder"]
