/*
 * codec/x509_sample.h - a certificate for tests: of CN=my-device_01, as `tedge
 * cert create` makes one.
 */
#ifndef CODEC_X509_SAMPLE_H
#define CODEC_X509_SAMPLE_H

static const char x509_sample[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIB2TCCAX+gAwIBAgIUNM1nksN0veuxg+baHgqIVHgP/GcwCgYIKoZIzj0EAwIw\n"
    "QTESMBAGA1UECgwJVGhpbiBFZGdlMRUwEwYDVQQDDAxteS1kZXZpY2VfMDExFDAS\n"
    "BgNVBAsMC1Rlc3QgRGV2aWNlMCAXDTI2MTEyODA4NTIyNFoYDzIxMjYxMTA0MDg1\n"
    "MjI0WjBBMRIwEAYDVQQKDAlUaGluIEVkZ2UxFTATBgNVBAMMDG15LWRldmljZV8w\n"
    "MTEUMBIGA1UECwwLVGVzdCBEZXZpY2UwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
    "AATs+MvxLr/N8CSJCA0ednuC7jr/bLTwxp78pZ9SYaecV9kdEkX2mysSGTXexOV6\n"
    "DDqNX8pKONVu3B7jRiyojx3do1MwUTAdBgNVHQ4EFgQU2wmuojZw6AAjxrRdhF2o\n"
    "GSTUCwkwHwYDVR0jBBgwFoAU2wmuojZw6AAjxrRdhF2oGSTUCwkwDwYDVR0TAQH/\n"
    "BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiB6dapjPzWB9n1DVHKCB05M+tqI9abZ\n"
    "JKP9ALHa/tWxowIhAI3NIkk2jdWAj+fek6WqGQBbzRY9u985M2lO+hs43PiR\n"
    "-----END CERTIFICATE-----\n";

#endif
