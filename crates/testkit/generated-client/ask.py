"""Asks a master with the client that was generated from its description: prints the names of all tokens."""

import sys

from anima_client import AuthenticatedClient
from anima_client.api.tokens import get_tokens

url, token = sys.argv[1:]
with AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True) as client:
    print("tokens", *(one.name for one in get_tokens.sync(client=client)))
