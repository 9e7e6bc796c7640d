/* The payload that source.c and trains.c send and check.c knows again: a sequence number of eight
 * octets, most significant first, then octets that follow from its lowest octet. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { SEQUENCE = 8 };

static inline void put_sequence(uint8_t *payload, uint64_t sequence) {
  for (int i = 0; i < SEQUENCE; i++) payload[i] = (uint8_t)(sequence >> (56 - 8 * i));
}

static inline uint64_t get_sequence(const uint8_t *payload) {
  uint64_t sequence = 0;
  for (int i = 0; i < SEQUENCE; i++) sequence = sequence << 8 | payload[i];
  return sequence;
}

/* Octet `at` of the payload numbered `sequence`; `at` is SEQUENCE or more. */
static inline uint8_t filler(uint64_t sequence, size_t at) {
  return (uint8_t)(sequence + 7 * at);
}

static inline void fill(uint8_t *payload, size_t octets, uint64_t sequence) {
  put_sequence(payload, sequence);
  for (size_t at = SEQUENCE; at < octets; at++) payload[at] = filler(sequence, at);
}
