/* Why a message was refused: one table for the codec, the counters, the tests and
 * doc/protocol/http.md. Names are part of the interface; a new rule goes at the end of its group.
 *
 * The status is what a server answers; a client that meets a bad response answers 502 to whom it
 * asks for. */
#pragma once

#define AMM_HTTP_RULES(X)                                                                          \
    /* request line */                                                                             \
    X(METHOD, "method", 400, "the method is not 1 to 32 capital letters or hyphens")               \
    X(METHOD_CONNECT, "method-connect", 501, "CONNECT is for proxies, and this is none")           \
    X(TARGET_FORM, "target-form", 400, "the request target has to be a path, from its first '/'")  \
    X(TARGET_BYTE, "target-byte", 400, "the request target has a byte that has to be encoded")     \
    X(TARGET_ESCAPE, "target-escape", 400,                                                         \
      "a '%' in the path is not followed by two hex digits, or encodes NUL")                       \
    X(TARGET_DOTS, "target-dots", 400, "a segment of the path is '.' or '..', perhaps encoded")    \
    X(TARGET_LENGTH, "target-length", 414, "the request target is longer than 8192 bytes")         \
    X(REQUEST_LINE, "request-line", 400,                                                           \
      "the request line is not METHOD, target and HTTP/x.y, one blank between them")               \
    X(VERSION, "version", 505, "only HTTP/1.1 and HTTP/1.0 are spoken here")                       \
    /* lines */                                                                                    \
    X(BARE_LF, "bare-lf", 400, "a line ends with LF alone; lines end with CR LF")                  \
    X(BARE_CR, "bare-cr", 400, "a CR is not followed by LF")                                       \
    X(HEAD_LENGTH, "head-length", 431, "the head is longer than 16384 bytes")                      \
    /* field lines */                                                                              \
    X(FIELD_NAME, "field-name", 400,                                                               \
      "a field line has no name, no colon, or a byte before the colon that no name has")           \
    X(FIELD_FOLDED, "field-folded", 400, "a field line begins with a blank")                       \
    X(FIELD_VALUE, "field-value", 400, "a field value has a control byte")                         \
    X(FIELD_COUNT, "field-count", 431, "there are more than 64 field lines")                       \
    X(FIELD_TWICE, "field-twice", 400,                                                             \
      "a field that stands for one thing is there more than once")                                 \
    X(HOST_MISSING, "host-missing", 400, "HTTP/1.1 without a Host field")                          \
    X(HOST_TWICE, "host-twice", 400, "there is more than one Host field")                          \
    X(HOST_VALUE, "host-value", 400, "the Host field is not a name or address with a port")        \
    X(EXPECTATION, "expectation", 417, "the only expectation that is met is 100-continue")         \
    /* framing */                                                                                  \
    X(LENGTH_TWICE, "length-twice", 400, "there is more than one Content-Length")                  \
    X(LENGTH_VALUE, "length-value", 400,                                                           \
      "the Content-Length is not a number of at most 18 digits without leading zeros")             \
    X(LENGTH_AND_CODING, "length-and-coding", 400,                                                 \
      "there are both a Content-Length and a Transfer-Encoding")                                   \
    X(CODING_TWICE, "coding-twice", 400, "there is more than one Transfer-Encoding")               \
    X(CODING_UNKNOWN, "coding-unknown", 501, "the only transfer coding is chunked, alone")         \
    X(CODING_VERSION, "coding-version", 400, "HTTP/1.0 has no Transfer-Encoding")                  \
    X(CONNECTION_NAMES, "connection-names", 400,                                                   \
      "the Connection field names a field that frames or routes the message")                      \
    X(BODY_UNEXPECTED, "body-unexpected", 400, "GET, HEAD and TRACE have no body here")            \
    X(UPGRADE_BODY, "upgrade-body", 400, "a request to upgrade has no body here")                  \
    /* bodies */                                                                                   \
    X(CHUNK_SIZE, "chunk-size", 400, "a chunk's size is not 1 to 16 hex digits")                   \
    X(CHUNK_SIZE_MAX, "chunk-size-max", 413, "a chunk's size is beyond 63 bits")                   \
    X(CHUNK_EXTENSION, "chunk-extension", 400, "a chunk's extension is malformed")                 \
    X(CHUNK_LINE, "chunk-line", 400, "the line of a chunk's size is longer than 256 bytes")        \
    X(CHUNK_END, "chunk-end", 400, "a chunk's content is not followed by CR LF")                   \
    X(TRAILER, "trailer", 400, "a trailer is not a field line")                                    \
    X(TRAILER_LENGTH, "trailer-length", 431, "the trailers are longer than 8192 bytes")            \
    /* responses */                                                                                \
    X(STATUS_LINE, "status-line", 502,                                                             \
      "the answer does not begin with HTTP/1.1 or HTTP/1.0 and a status of three digits")          \
    X(STATUS_CONNECT, "status-connect", 502, "answers to CONNECT are not understood here")         \
    X(LENGTHS_DIFFER, "lengths-differ", 502, "there are two Content-Lengths, and they differ")     \
    X(UPGRADE_MISSING, "upgrade-missing", 502, "status 101 without an Upgrade field")
