"""Encryption of what is kept of credentials: AES-128 in CBC with HMAC-SHA256 (Fernet), with Airflow's own key. Source: PRODUCT.md P2."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from integrator.errors import ConfigError

KEY_VARIABLE = "AIRFLOW__CORE__FERNET_KEY"


class Sealer:
    """Encrypts with the first key, and opens what any of them has encrypted.

    Args:
        keys: Fernet keys with commas between, the newest first, as Airflow names them.

    Raises:
        ConfigError: one of them is no Fernet key.
    """

    def __init__(self, keys: str) -> None:
        try:
            self._fernet = MultiFernet([Fernet(one.strip()) for one in keys.split(",")])
        except ValueError:
            raise ConfigError(
                f"[core] fernet_key is missing or not a Fernet key, so nothing of a credential can be kept; set {KEY_VARIABLE}"
            ) from None

    def seal(self, content: bytes) -> str:
        """Return the content encrypted."""
        return self._fernet.encrypt(content).decode()

    def open(self, what: str, sealed: str) -> bytes:
        """Return what was encrypted.

        Args:
            what: whose it is, for the message.

        Raises:
            ConfigError: none of the keys fits.
        """
        try:
            return self._fernet.decrypt(sealed.encode())
        except InvalidToken:
            raise ConfigError(
                f"what is kept of {what} was encrypted with another Fernet key; put that key behind a comma at the end of {KEY_VARIABLE}, "
                f"or let it be forgotten: integrator credential remove {what.replace('__', '/', 1)} --tokens-only"
            ) from None

    def turn(self, what: str, sealed: str) -> str:
        """Return the content encrypted with the first key, whichever it was encrypted with before.

        Raises:
            ConfigError: none of the keys fits.
        """
        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            self.open(what, sealed)
            raise
