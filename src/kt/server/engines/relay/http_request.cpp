// This module's own copy: the one of kyoto/ is in a module that may be missing.

#include "kyoto/protocol/http_request.cpp"
