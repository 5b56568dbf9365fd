"""jsonrpcserver as its documentation shows it: `dispatch` a text, print the reply."""

import sys

from jsonrpcserver import Result, Success, dispatch, method


@method
def ping() -> Result:
    """Answer {}."""
    return Success({})


for line in sys.stdin:
    print(dispatch(line), flush=True)
