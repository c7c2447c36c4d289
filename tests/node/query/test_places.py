"""How many requests are served at the same time."""

from node.query.places import Places


def test_a_request_beyond_the_limit_is_given_no_place() -> None:
    places = Places(1, wait_s=0.01)

    with places.taken() as first, places.taken() as second:
        found = (first, second)

    assert found == (True, False)


def test_a_place_is_free_again_when_its_request_has_ended() -> None:
    places = Places(1, wait_s=0.01)
    with places.taken():
        pass

    with places.taken() as is_taken:
        assert is_taken
