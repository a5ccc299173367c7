// MASKGRAD_SANITIZES_ADDRESS where AddressSanitizer looks on.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define MASKGRAD_SANITIZES_ADDRESS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MASKGRAD_SANITIZES_ADDRESS
#endif
#endif

#if defined(MASKGRAD_SANITIZES_ADDRESS)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
