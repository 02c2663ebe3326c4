// SPDX-License-Identifier: MIT
// EXPECT: cannot travel
int main() { return undeclared; }
