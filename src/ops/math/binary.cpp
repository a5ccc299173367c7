#include <maskgrad/ops/math/binary.hpp>
#include <maskgrad/ops/samples/sample.hpp>

namespace maskgrad::ops {

const OpDef& register_binary(const char* name, const char* summary,
                             Variable (*function)(const Variable&, const Variable&),
                             const Reads& gradient_of_a, const Reads& gradient_of_b, double low) {
  return register_op({
      .name = name,
      .summary = summary,
      .inputs = {{.name = "a", .reach = Reach::kElement, .gradient = gradient_of_a},
                 {.name = "b", .reach = Reach::kElement, .gradient = gradient_of_b}},
      .mask_rule = MaskRule::kKeeps,
      .call = [=](const OpCall& call) -> std::vector<Variable> {
        return {function(call.input("a"), call.input("b"))};
      },
      .samples = [=](Random& r) -> std::vector<OpSample> {
        std::vector<OpSample> samples;
        for (auto [a, b] : std::initializer_list<std::pair<Shape, Shape>>{{{3, 4}, {3, 4}},
                                                                          {{2, 3, 4}, {4}},
                                                                          {{2, 3, 4}, {2, 1, 4}},
                                                                          {{3, 1}, {2, 3, 5}},
                                                                          {{}, {2, 2}}}) {
          samples.push_back({{{"a", sample_uniform(r, a)}, {"b", sample_uniform(r, b, low)}}});
        }
        return samples;
      },
  });
}

}  // namespace maskgrad::ops
