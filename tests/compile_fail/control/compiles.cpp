// SPDX-License-Identifier: MIT
// EXPECT: error
int main() {}
