// tf.train.Example, the message a data record holds.
//
// Example { Features features = 1; }  Features { map<string, Feature> feature = 1; }
// Feature { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }  each list { value = 1; }
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace maskgrad {

using Feature =
    std::variant<std::vector<std::int64_t>, std::vector<float>, std::vector<std::string>>;
using Example = std::map<std::string, Feature>;

/// The bytes of TensorFlow's SerializeToString(deterministic=True): keys in byte order, numbers
/// packed. The order differs in one case: where one key is the beginning of another, Python's
/// protobuf puts the longer key first. Throws Error for a key that is not UTF-8.
std::string encode(const Example& example);

/// The inverse, as lenient as protobuf. It takes packed and unpacked numbers, skips unknown fields,
/// and takes the last value of a key given twice. It leaves out a feature that holds no list, as
/// tf.io.parse_example does. Throws Error "[protobuf] <where>: byte 12: truncated" for malformed
/// bytes.
Example decode_example(std::string_view bytes, std::string_view where = "tf.train.Example");

}  // namespace maskgrad
