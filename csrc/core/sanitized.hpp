// core/sanitized.hpp - QC_SANITIZED: 1 in a build under AddressSanitizer, else 0.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define QC_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QC_SANITIZED 1
#endif
#endif
#ifndef QC_SANITIZED
#define QC_SANITIZED 0
#endif
