// Where a record lies on a cluster: its name there, and the slot of that name. The layouts are those
// of kt/cluster/layout.py.

#ifndef KT_RELAY_PLACES_H
#define KT_RELAY_PLACES_H

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kt::relay {

using Bytes = std::string_view;

constexpr size_t SLOTS = 16384;

// The tables of both checksums: for what the next byte adds.
constexpr std::array<uint16_t, 256> make_crc16_table() {
  std::array<uint16_t, 256> table{};
  for (unsigned byte = 0; byte < 256; byte++) {
    unsigned sum = byte << 8;
    for (int bit = 0; bit < 8; bit++) sum = sum << 1 ^ (sum & 0x8000 ? 0x1021 : 0);
    table[byte] = static_cast<uint16_t>(sum);
  }
  return table;
}

constexpr std::array<uint32_t, 256> make_crc32_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t sum = byte;
    for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320 : 0);
    table[byte] = sum;
  }
  return table;
}

inline constexpr std::array<uint16_t, 256> CRC16 = make_crc16_table();
inline constexpr std::array<uint32_t, 256> CRC32 = make_crc32_table();

// Of XMODEM, as the engine has it; `sum` is that of the bytes before.
inline uint16_t crc16(uint16_t sum, Bytes bytes) {
  for (char c : bytes) {
    sum = static_cast<uint16_t>(sum << 8 ^ CRC16[(sum >> 8 ^ static_cast<uint8_t>(c)) & 0xFF]);
  }
  return sum;
}

// Of zlib.
inline uint32_t crc32(Bytes bytes) {
  uint32_t sum = ~0u;
  for (char c : bytes) sum = sum >> 8 ^ CRC32[(sum ^ static_cast<uint8_t>(c)) & 0xFF];
  return ~sum;
}

struct Place {
  Bytes head;  // of the name; the key follows
  uint16_t slot;
};

class Places {
 public:
  Places() = default;
  // `heads` of the buckets of a tree, spread evenly over the slots; a single one, of names whose whole
  // is hashed, for a flat database.
  Places(std::vector<std::string> heads, bool flat) : heads_(std::move(heads)), flat_(flat) {
    for (size_t n = heads_.size(); n > 1; n >>= 1) shift_--;
  }

  Place place(Bytes key) const {
    if (flat_) {
      const uint16_t begun = crc16(0, heads_[0]);
      return {heads_[0], static_cast<uint16_t>(crc16(begun, key) % SLOTS)};
    }
    const size_t bucket = shift_ == 32 ? 0 : crc32(key) >> shift_;
    return {heads_[bucket], static_cast<uint16_t>(bucket * (SLOTS / heads_.size()))};
  }

 private:
  std::vector<std::string> heads_;
  bool flat_ = false;
  unsigned shift_ = 32;
};

}  // namespace kt::relay

#endif
