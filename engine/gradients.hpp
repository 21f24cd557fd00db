// Which gradients a plan needs, and who writes them first.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "plan.hpp"

namespace convia {

bool learns(const Plan& plan, const Step& s);

// Fill in Step::wanted and Step::fresh; return which steps have a way back.
std::vector<std::uint8_t> plan_gradients(Plan& plan);

// The gradients of weights (start, size) that no step writes whole (written: 1), so that they must be zero before.
std::vector<std::pair<Int, Int>> unwritten(const Plan& plan, const std::vector<std::uint8_t>& written);

}  // namespace convia
