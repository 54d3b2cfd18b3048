# diabolo_flags: what every target of ours compiles and links with.
add_library(diabolo_flags INTERFACE)
target_compile_options(diabolo_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror>
  # The compiler may not fuse a*b+c on its own: results must not depend on how a loop was compiled.
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
if(DIABOLO_SANITIZE)
  target_compile_options(diabolo_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${DIABOLO_SANITIZE} -fno-omit-frame-pointer
                              -fno-sanitize-recover=all>)
  target_link_options(diabolo_flags INTERFACE -fsanitize=${DIABOLO_SANITIZE})
endif()
target_include_directories(diabolo_flags INTERFACE
  ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
