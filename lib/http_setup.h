// SPDX-License-Identifier: Apache-2.0
/* What a request wants of curl, said in curl's options. For lib/http.c only. */
#pragma once

#include <curl/curl.h>

#include "http.h"

/* Everything but the callbacks. *@ret_headers has to outlive the transfer; curl_slist_free_all(),
 * also after a failure. False when curl refuses an option or memory is short. */
bool http_setup(
	CURL *easy, const struct http_options *o, struct curl_slist **ret_headers);
