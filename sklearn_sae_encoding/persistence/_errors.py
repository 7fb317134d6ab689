"""The one error of a saved encoder that can't be believed."""


class SavedEncoderError(ValueError):
    """A saved encoder is damaged, was changed, isn't whole, or doesn't belong to the data or models it is held against.

    Whatever was done to its folder, :func:`~sklearn_sae_encoding.persistence.load_encoder` gives the encoder or this
    error, whose message says what was found.
    """
