"""Bytes of a file as nobody would write them."""

BITS = (
    *(b",", b";", b"\t", b'"', b"'", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\\", b" "),
    *(b"null", b"NaN", b"true", b"1e999", b"-1", b"9" * 5000, b"[", b"]", b"{", b"}", b"#3", b"=1"),
    *(b"pos_END", b"pos_", b"clean", b"clean_tokens", b"kept", b"\\u0000", b"\\ud800", b"\x1b[31m"),
    *(b"x" * 140_000, b"label", b"premise", b"<|endoftext|>", b"1," * 3000, b"[" * 2000),
    "é²٣\u202e\u2028".encode(),
)


def bent(whole, draw):
    """The bytes of a file with some changed, put in, repeated or gone."""
    for _ in range(draw.choice([1, 1, 2, 8])):
        first = draw.randrange(len(whole) + 1)
        last = first + draw.choice([1, 2, 5, 30, 200])
        put = draw.choice([b"", draw.choice(BITS), whole[first:last] * draw.choice([1, 50])])
        whole = whole[:first] + put + whole[draw.choice([first, last]) :]
        if draw.random() < 0.2:
            whole = whole.replace(draw.choice(BITS), draw.choice(BITS), draw.choice([1, -1]))
    return whole[:2_000_000]
