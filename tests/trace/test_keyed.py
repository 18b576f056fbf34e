import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from gateway.trace.keyed import Keyed


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), max_size=4))
def test_it_is_hmac_for_keys_of_any_length_and_any_number_of_texts(key, texts):
    one = Keyed(key)
    assert [one.digest(text) for text in texts] == [hmac.digest(key, text, hashlib.sha256) for text in texts]
