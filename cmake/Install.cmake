# What `cmake --install` puts where: the command, the library, its headers, and what find_package
# and pkg-config read. Every path in them is relative to where they lie, so that an installed tree
# can be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/diabolo)

install(TARGETS diabolo_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS diabolo_library EXPORT diabolo_targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES include/diabolo/diabolo.h include/diabolo/diabolo.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/diabolo)
install(EXPORT diabolo_targets NAMESPACE diabolo:: FILE diaboloTargets.cmake
        DESTINATION ${package_dir})

configure_package_config_file(cmake/diaboloConfig.cmake.in diaboloConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
# While the major version is 0, a minor version may change anything.
write_basic_package_version_file(diaboloConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/diaboloConfig.cmake
              ${PROJECT_BINARY_DIR}/diaboloConfigVersion.cmake DESTINATION ${package_dir})

file(RELATIVE_PATH DIABOLO_PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(diabolo.pc.in diabolo.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/diabolo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/diabolo)
