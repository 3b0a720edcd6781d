"""Types of fields, bounded by what the receiver can store. A message beyond them is refused whole, with the reason."""

from typing import Annotated

import msgspec

Text = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[^\x00]*$")]
"""Databases cannot hold NUL."""
Amount = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A count or a size: JSON numbers are exact up to there."""
Index = Annotated[int, msgspec.Meta(ge=0, le=1023)]
"""Which GPU of a host."""
Revision = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
"""-1: nothing was applied yet."""
ExitCode = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**32)]
"""Negative for a signal, as in ``subprocess``; unsigned 32 bit where a system has those."""
