# diabolo_flags: what every target of ours compiles and links with.
add_library(diabolo_flags INTERFACE)
target_compile_options(diabolo_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror>
  # The compiler may not fuse a*b+c on its own: results must not depend on how a loop was compiled.
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
if(DIABOLO_SANITIZE)
  # Targets with the property DIABOLO_PLAIN are built without; whoever links them brings the runtime.
  # Instrumented code makes compilers warn of what is not there; plain builds see the same sources.
  set(DIABOLO_SANITIZE_OPTIONS
    -fsanitize=${DIABOLO_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    -g1 -Wno-error)
  if(DIABOLO_SANITIZE MATCHES "address")
    # Checks of what ASan sees where it is used; at every access they take a quarter of the time to compile.
    list(APPEND DIABOLO_SANITIZE_OPTIONS -fno-sanitize=null,object-size,vptr)
  endif()
  set(is_sanitized $<NOT:$<BOOL:$<TARGET_PROPERTY:DIABOLO_PLAIN>>>)
  target_compile_options(diabolo_flags INTERFACE
    "$<$<AND:$<COMPILE_LANGUAGE:CXX>,${is_sanitized}>:${DIABOLO_SANITIZE_OPTIONS}>")
  target_link_options(diabolo_flags INTERFACE -fsanitize=${DIABOLO_SANITIZE})
endif()
target_include_directories(diabolo_flags INTERFACE
  ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
