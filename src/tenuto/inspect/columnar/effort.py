"""How much work a look may take, whatever a file declares."""


class TooMuch(Exception):  # noqa: N818  # it is no error of the file
    """What was to be read takes more work than is done for a look."""


class Effort:
    """A number of small steps, each about a microsecond, that are used up."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Use up some steps. Raises TooMuch when none are left."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch
